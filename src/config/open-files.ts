import type { Config } from './config.ts';
import { readDocuments } from './documents.ts';
import type { Layer } from './layers.ts';
import { type ConfigInputs, configOf } from './load-config.ts';
import type { ObjectSettings } from './objects/compile.ts';
import { type FileCatalogSource, openFileCatalog } from './objects/file-catalog-source.ts';
import { hasErrors, type Problem } from './problem.ts';
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

export type OpenedSources =
  | {
      readonly ok: true;
      readonly config: Config;
      /** The objects of the files; null when there are none, or when they come from an API server. */
      readonly files: FileCatalogSource | null;
      /** Warnings. */
      readonly problems: readonly Problem[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Settings, and objects from the same files unless `kubernetes.enabled` says that they are in a cluster. */
export function openSources(inputs: ConfigInputs): OpenedSources {
  const documents = readDocuments(inputs.files);
  const loaded = configOf(documents, inputs);
  if (!loaded.ok || !loaded.config.kubernetes.enabled) {
    if (loaded.ok && inputs.files.length === 0) {
      return { ok: true, config: loaded.config, files: null, problems: loaded.problems };
    }
    const opened = openFiles(inputs);
    return opened.ok ? { ...opened, files: opened.catalogSource } : opened;
  }
  const unread = documents.objects.map((document): Problem => {
    const message = 'is not read: with kubernetes.enabled objects come from the API server; apply it there';
    return { severity: 'error', source: document.locate([]), object: null, path: '', message };
  });
  const problems = [...documents.problems, ...loaded.problems, ...unread];
  if (hasErrors(problems)) return { ok: false, problems };
  return { ok: true, config: loaded.config, files: null, problems };
}
