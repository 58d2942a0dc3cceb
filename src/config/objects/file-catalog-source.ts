import { isDeepStrictEqual } from 'node:util';
import type { Catalog, CatalogSource } from '../../core/objects.ts';
import { type Documents, readDocuments } from '../documents.ts';
import { hasErrors, type Problem } from '../problem.ts';
import { compileObjects, type ObjectSettings } from './compile.ts';
import { createFileProbe, type FileProbe } from './file-probe.ts';
import { type FileWatch, watchFiles } from './watch-files.ts';

export interface FileCatalogOptions {
  /** Files and folders, as given by `-f`. */
  readonly files: readonly string[];
  readonly settings: ObjectSettings;
  /** Default: this machine. */
  readonly probe?: FileProbe;
}

/** What one reading of changed files led to. */
export type Reload =
  | { readonly kind: 'accepted'; readonly catalog: Catalog; readonly problems: readonly Problem[] }
  /** The objects before the edit stay in force. */
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] }
  /** Nothing that matters changed, except perhaps the warnings. */
  | { readonly kind: 'same'; readonly problems: readonly Problem[] };

export type OpenedCatalog =
  | { readonly ok: true; readonly source: FileCatalogSource }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Reads the objects once, unless they were read already. Files with errors open nothing. */
export function openFileCatalog(
  options: FileCatalogOptions,
  documents: Documents = readDocuments(options.files),
): OpenedCatalog {
  const probe = options.probe ?? createFileProbe();
  const read = compileDocuments(documents, { ...options, probe }, null);
  if (read.catalog === null) return { ok: false, problems: read.problems };
  return {
    ok: true,
    source: new FileCatalogSource({ ...options, probe }, documents, { ...read, catalog: read.catalog }),
  };
}

/** The catalog of a set of files, kept up to date while they are edited. A broken edit changes nothing but `problems`. */
export class FileCatalogSource implements CatalogSource {
  readonly #options: Required<FileCatalogOptions>;
  readonly #listeners = new Set<(catalog: Catalog) => void>();
  /** Settings are read once, at the start: a later change is only reported. */
  readonly #configurations: readonly unknown[];
  #catalog: Catalog;
  #content: unknown;
  #problems: readonly Problem[];
  #texts: readonly string[];
  #watch: FileWatch | undefined;

  /** Use openFileCatalog. */
  constructor(
    options: Required<FileCatalogOptions>,
    documents: Documents,
    first: { readonly catalog: Catalog; readonly content: unknown; readonly problems: readonly Problem[] },
  ) {
    this.#options = options;
    this.#configurations = documents.configurations.map((document) => document.value);
    this.#texts = textsOf(documents);
    this.#catalog = first.catalog;
    this.#content = first.content;
    this.#problems = first.problems;
  }

  current(): Catalog {
    return this.#catalog;
  }

  /** Of the last reading. Errors mean that the catalog in force is older than the files. */
  problems(): readonly Problem[] {
    return this.#problems;
  }

  onChange(listener: (catalog: Catalog) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Follows the files from now on. `onReload` hears of each reading that led to something new. */
  watch(onReload: (reload: Reload) => void): void {
    this.#watch ??= watchFiles(this.#options.files, () => {
      const reload = this.reload();
      if (reload) onReload(reload);
    });
  }

  /** Reads the files now. Null when they are as they were. */
  reload(): Reload | null {
    const documents = readDocuments(this.#options.files);
    const texts = textsOf(documents);
    if (isDeepStrictEqual(texts, this.#texts)) return null;
    this.#texts = texts;
    const read = compileDocuments(documents, this.#options, this.#catalog);
    const problems = [...read.problems, ...this.#emptied(documents), ...this.#configurationProblems(documents)];
    this.#problems = problems;
    if (read.catalog === null || hasErrors(problems)) return { kind: 'refused', problems };
    if (isDeepStrictEqual(read.content, this.#content)) return { kind: 'same', problems };
    this.#catalog = read.catalog;
    this.#content = read.content;
    for (const listener of this.#listeners) listener(read.catalog);
    return { kind: 'accepted', catalog: read.catalog, problems };
  }

  /** Stops following the files. The catalog stays. */
  async close(): Promise<void> {
    await this.#watch?.close();
    this.#watch = undefined;
  }

  /** An editor truncates a file before it writes it; that must not put every pool to sleep. */
  #emptied({ objects }: Documents): Problem[] {
    if (objects.length > 0 || this.#catalog.pools.size === 0) return [];
    const source = this.#options.files.join(', ');
    const message = 'holds no object any more; the old ones stay in force: put them back, or stop Pilotlight';
    return [{ severity: 'error', source, object: null, path: '', message }];
  }

  #configurationProblems(documents: Documents): Problem[] {
    const now = documents.configurations.map((document) => document.value);
    if (isDeepStrictEqual(now, this.#configurations)) return [];
    const source = documents.configurations[0]?.locate([]) ?? this.#options.files.join(', ');
    const message = 'the settings changed; they are read at the start only: restart to apply them';
    return [{ severity: 'warning', source, object: 'Configuration', path: '', message }];
  }
}

function compileDocuments(documents: Documents, options: Required<FileCatalogOptions>, previous: Catalog | null) {
  const modified = new Map(documents.files.map((file) => [file.name, file.modifiedEpochMs]));
  const compiled = compileObjects({
    documents: documents.objects,
    settings: options.settings,
    probe: options.probe,
    previous,
    modifiedEpochMs: (file) => modified.get(file) ?? 0,
  });
  const problems = [...documents.problems, ...compiled.problems];
  return { catalog: hasErrors(problems) ? null : compiled.catalog, content: compiled.content, problems };
}

function textsOf(documents: Documents): string[] {
  // A file that cannot be read is a change too.
  return [...documents.files.flatMap(({ name, text }) => [name, text]), ...documents.problems.map((one) => one.source)];
}
