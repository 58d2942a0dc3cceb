import type { Documents } from '../../../src/config/documents.ts';
import { parseSetFlag } from '../../../src/config/flags.ts';
import { configOf, type LoadedConfig } from '../../../src/config/load-config.ts';
import { type Compiled, compileObjects, type ObjectSettings } from '../../../src/config/objects/compile.ts';
import type { FileProbe } from '../../../src/config/objects/file-probe.ts';
import { formatProblem, type Problem } from '../../../src/config/problem.ts';
import { configurationSchema } from '../../../src/config/schema/configuration.ts';
import { parseYaml } from '../../../src/config/yaml-documents.ts';
import type { Catalog } from '../../../src/core/objects.ts';

/** What the files would be, without a disk. */
export function documents(texts: Readonly<Record<string, string>>): Documents {
  const parsed = Object.entries(texts).map(([file, text]) => parseYaml(file, text));
  const all = parsed.flatMap((one) => one.documents);
  const isConfiguration = (value: unknown) => (value as { kind?: unknown }).kind === 'Configuration';
  return {
    configurations: all.filter((one) => isConfiguration(one.value)),
    objects: all.filter((one) => !isConfiguration(one.value)),
    problems: parsed.flatMap((one) => one.problems),
    files: [],
  };
}

export interface Settings {
  /** The `spec` of a Configuration in app.yaml, from its fourth line on. */
  readonly spec?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly set?: readonly string[];
}

export function load({ spec, env = {}, set = [] }: Settings): LoadedConfig {
  const text = `apiVersion: pilotlight.dev/v1alpha1\nkind: Configuration\nspec:\n${spec ?? ''}`;
  return configOf(documents(spec === undefined ? {} : { 'app.yaml': text }), {
    environment: env,
    flags: set.map(parseSetFlag),
  });
}

export function loadProblems(settings: Settings): string[] {
  return texts(load(settings).problems);
}

export function loadOk(settings: Settings) {
  const loaded = load(settings);
  if (!loaded.ok) throw new Error(texts(loaded.problems).join('\n'));
  return loaded;
}

export function texts(problems: readonly Problem[]): string[] {
  return problems.map(formatProblem);
}

/** A machine on which exactly these programs and folders exist. */
export function probe(commands: readonly string[] = ['vllm'], folders: readonly string[] = ['/models']): FileProbe {
  return { isCommand: (program) => commands.includes(program), isFolder: (path) => folders.includes(path) };
}

const settings: ObjectSettings = configurationSchema.parse({});

export interface CompileOptions {
  readonly settings?: Partial<ObjectSettings>;
  readonly previous?: Catalog;
  readonly probe?: FileProbe;
}

export function compile(text: string, options: CompileOptions = {}): Compiled {
  const { objects, problems } = documents({ 'objects.yaml': text });
  if (problems.length > 0) throw new Error(texts(problems).join('\n'));
  return compileObjects({
    documents: objects,
    settings: { ...settings, ...options.settings },
    probe: options.probe ?? probe(),
    previous: options.previous ?? null,
    modifiedEpochMs: () => 1_000,
  });
}

export function compileOk(text: string, options: CompileOptions = {}): Catalog {
  const { catalog, problems } = compile(text, options);
  if (!catalog) throw new Error(texts(problems).join('\n'));
  return catalog;
}
