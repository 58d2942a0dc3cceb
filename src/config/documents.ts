import { type InputFile, readInputFiles } from './input-files.ts';
import type { Problem } from './problem.ts';
import { CONFIGURATION_KIND } from './schema/configuration.ts';
import { parseYaml, type YamlDocument } from './yaml-documents.ts';

/** What the files named by `-f` contain. */
export interface Documents {
  /** Documents of kind Configuration, in order. */
  readonly configurations: readonly YamlDocument[];
  /** All others, in order: pools, objectives, policies. */
  readonly objects: readonly YamlDocument[];
  /** Files that cannot be read or are not YAML. */
  readonly problems: readonly Problem[];
  readonly files: readonly InputFile[];
}

export function readDocuments(paths: readonly string[]): Documents {
  const { files, problems } = readInputFiles(paths);
  const parsed = files.map((file) => parseYaml(file.name, file.text));
  const documents = parsed.flatMap((one) => one.documents);
  return {
    configurations: documents.filter(isConfiguration),
    objects: documents.filter((document) => !isConfiguration(document)),
    problems: [...problems, ...parsed.flatMap((one) => one.problems)],
    files,
  };
}

function isConfiguration(document: YamlDocument): boolean {
  return (document.value as { kind?: unknown } | null)?.kind === CONFIGURATION_KIND;
}
