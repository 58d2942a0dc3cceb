import type { Config } from './config.ts';
import { readDocuments } from './documents.ts';
import type { Layer } from './layers.ts';
import { type ConfigInputs, configOf } from './load-config.ts';
import type { ObjectSettings } from './objects/compile.ts';
import { type FileCatalogSource, openFileCatalog } from './objects/file-catalog-source.ts';
import type { Problem } from './problem.ts';
import { configurationSchema } from './schema/configuration.ts';

export type OpenedFiles =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly written: Layer;
      readonly catalogSource: FileCatalogSource;
      /** Warnings. */
      readonly problems: readonly Problem[];
      readonly documentCount: number;
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly documentCount: number };

/** Settings and objects of the same files, read once. Problems of both are listed together. */
export function openFiles(inputs: ConfigInputs): OpenedFiles {
  const documents = readDocuments(inputs.files);
  const loaded = configOf(documents, inputs);
  const settings: ObjectSettings = loaded.ok ? loaded.config : configurationSchema.parse({});
  const opened = openFileCatalog({ files: inputs.files, settings }, documents);
  const objectProblems = opened.ok ? opened.source.problems() : opened.problems;
  const problems = [...loaded.problems, ...objectProblems];
  const documentCount = documents.configurations.length + documents.objects.length;
  if (!loaded.ok || !opened.ok) return { ok: false, problems, documentCount };
  return {
    ok: true,
    config: loaded.config,
    written: loaded.written,
    catalogSource: opened.source,
    problems,
    documentCount,
  };
}
