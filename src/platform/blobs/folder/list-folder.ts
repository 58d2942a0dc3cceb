import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobInfo } from '../../../core/blobs.ts';
import { isKeySegment } from '../keys.ts';
import { orMissing } from './disk-errors.ts';

/** Names of one folder held at a time: bounds the memory for a folder of a million. The rest takes further passes over it. */
const NAMES = 16_384;
const STATS_AT_ONCE = 32;

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
  /** Sorts like the keys it leads to: those of a folder go on with a "/". */
  readonly sortsAs: string;
}

export interface ListOptions {
  /** See NAMES. */
  readonly names?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Files below `folder` whose names can be keys, in the order of the keys. A folder that does not exist is empty. */
export async function* listFolder(folder: string, prefix: string, options: ListOptions = {}): AsyncGenerator<BlobInfo> {
  let files: string[] = [];
  for await (const { name, isFolder } of entriesInOrder(folder, options.names ?? NAMES)) {
    options.signal?.throwIfAborted();
    if (!isFolder) files.push(name);
    if (files.length < STATS_AT_ONCE && !isFolder) continue;
    yield* infosOf(folder, prefix, files);
    files = [];
    if (isFolder) yield* listFolder(join(folder, name), `${prefix}${name}/`, options);
  }
  yield* infosOf(folder, prefix, files);
}

async function* infosOf(folder: string, prefix: string, names: readonly string[]): AsyncGenerator<BlobInfo> {
  const found = await Promise.all(names.map((name) => orMissing(stat(join(folder, name)))));
  for (const [index, name] of names.entries()) {
    const file = found[index];
    if (file) yield { key: prefix + name, bytes: file.size, modifiedAtEpochMs: file.mtimeMs };
  }
}

async function* entriesInOrder(folder: string, names: number): AsyncGenerator<Entry> {
  for (let after = ''; ; ) {
    const { entries, isAll } = await firstEntries(folder, after, names);
    yield* entries;
    const last = entries.at(-1);
    if (isAll || !last) return;
    after = last.sortsAs;
  }
}

/** The first `names` entries behind `after`, in order. */
async function firstEntries(
  folder: string,
  after: string,
  names: number,
): Promise<{ entries: Entry[]; isAll: boolean }> {
  let entries: Entry[] = [];
  let isAll = true;
  const cut = (): void => {
    entries.sort((a, b) => (a.sortsAs < b.sortsAs ? -1 : 1));
    if (entries.length <= names) return;
    entries = entries.slice(0, names);
    isAll = false;
  };
  const opened = await orMissing(opendir(folder));
  if (!opened) return { entries, isAll };
  for await (const found of opened) {
    const isFolder = found.isDirectory();
    if (!isKeySegment(found.name) || (!isFolder && !found.isFile())) continue;
    const sortsAs = isFolder ? `${found.name}/` : found.name;
    if (sortsAs <= after) continue;
    entries.push({ name: found.name, isFolder, sortsAs });
    if (entries.length >= 2 * names) cut();
  }
  cut();
  return { entries, isAll };
}
