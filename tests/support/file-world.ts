import { digests } from '../../src/batch/adapters/files/digests.ts';
import { fileIds } from '../../src/batch/adapters/files/file-ids.ts';
import { type Files, openFiles } from '../../src/batch/files/open-files.ts';
import type { FileLimits } from '../../src/batch/policy/files/file-rules.ts';
import type { Clock } from '../../src/core/clock.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { MemoryFileIndex } from './memory-file-index.ts';
import { silentLogger } from './silent-logger.ts';

export const FILE_LIMITS: FileLimits = {
  fileBytes: 10_000_000,
  batchFileBytes: 10_000_000,
  uploadPartBytes: 1_000_000,
  tenantFiles: 10_000,
  tenantBytes: 100_000_000,
  uploadsAtOnce: 16,
  freeBytes: 1_000,
  fileExtensions: ['.jsonl'],
  fileRetentionMs: 2_592_000_000,
  uploadLifetimeMs: 3_600_000,
};

export interface FileWorld extends Files {
  readonly store: MemoryBlobStore;
  readonly index: MemoryFileIndex;
  /** Batches that are not finished. */
  readonly unfinished: Set<string>;
}

/** Files and uploads over memory. */
export function openFileWorld(clock: Clock, limits: Partial<FileLimits> = {}): FileWorld {
  const store = new MemoryBlobStore(() => clock.epochMs());
  const index = new MemoryFileIndex();
  const unfinished = new Set<string>();
  const files = openFiles({
    store,
    index,
    digests,
    ids: fileIds(clock),
    clock,
    log: silentLogger,
    limits: { ...FILE_LIMITS, ...limits },
    isUnfinished: (batchId) => Promise.resolve(unfinished.has(batchId)),
  });
  return { ...files, store, index, unfinished };
}

/** Bytes as they come from a socket: in pieces. */
// eslint-disable-next-line @typescript-eslint/require-await -- sources are asynchronous
export async function* chunks(...pieces: readonly (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}

export async function textOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts).toString();
}
