import { type FileHandle, open, opendir, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type {
  BlobInfo,
  BlobStore,
  ByteRange,
  PutAnswer,
  PutOptions,
  SegmentLog,
  SegmentLogSettings,
} from '../../../core/blobs.ts';
import type { Clock } from '../../../core/clock.ts';
import type { Random } from '../../../core/random.ts';
import { GroupCommitLog } from '../group-commit.ts';
import { checkKey, checkPrefix } from '../keys.ts';
import { LOG_DEFAULTS } from '../log-settings.ts';
import { isSegmentKey, newRunName } from '../segment-key.ts';
import { endUnread, untilAborted, upTo } from '../sources.ts';
import { type Disk, localDisk } from './disk.ts';
import { asStoreError, describeDiskError, onDisk, orMissing } from './disk-errors.ts';
import { FileBytes } from './file-bytes.ts';
import { listFolder } from './list-folder.ts';
import { readFully, SegmentReaders } from './segment-readers.ts';
import { writeDraft } from './write-draft.ts';

export interface FolderBlobStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk?: Disk;
}

const OPEN_SEGMENTS = 32;
/** Beside the keys, none of which has a "~" in it, so that a draft becomes a blob by a rename on one filesystem. */
const DRAFTS = '~unfinished';

/**
 * Blobs as files below a folder, for one gateway or several processes of one machine. Writes nothing before the first
 * put or append. The filesystem must have hard links and a fsync that means it; a folder over NFS or SMB is at your own risk.
 */
export class FolderBlobStore implements BlobStore {
  readonly kind = 'folder';
  readonly #root: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #disk: Disk;
  readonly #readers = new SegmentReaders(OPEN_SEGMENTS);
  /** By the folder of their run, as a key. */
  readonly #logs = new Map<string, GroupCommitLog>();
  readonly #draftRun: string;
  #drafts = 0;

  constructor(root: string, { clock, random, disk = localDisk }: FolderBlobStoreDeps) {
    this.#root = root;
    this.#clock = clock;
    this.#random = random;
    this.#disk = disk;
    this.#draftRun = newRunName(clock, random);
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<PutAnswer> {
    const path = this.#pathOf(key);
    options.signal?.throwIfAborted();
    const { ifAbsent = false, maxBytes, signal } = options;
    if (ifAbsent && (await onDisk(() => orMissing(stat(path))))) {
      await endUnread(source);
      return { kind: 'exists' };
    }
    const draft = join(this.#root, DRAFTS, `${this.#draftRun}-${(this.#drafts += 1)}`);
    const file = await onDisk(() => this.#disk.draft(draft));
    try {
      const content = untilAborted(source, signal);
      const bytes = await writeDraft(file, maxBytes === undefined ? content : upTo(content, maxBytes));
      signal?.throwIfAborted();
      await onDisk(() => file.close());
      const isPlaced = await onDisk(() => this.#disk.place(draft, path, ifAbsent));
      return isPlaced ? { kind: 'stored', bytes } : { kind: 'exists' };
    } catch (error) {
      await file.close().catch(() => undefined);
      // What cannot be removed now is swept later.
      await unlink(draft).catch(() => undefined);
      throw error;
    }
  }

  async info(key: string): Promise<BlobInfo | null> {
    const path = this.#pathOf(key);
    const found = await onDisk(() => orMissing(stat(path)));
    if (!found?.isFile()) return null;
    return { key, bytes: this.#readableBytes(key, found.size), modifiedAtEpochMs: found.mtimeMs };
  }

  async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array> | null> {
    const path = this.#pathOf(key);
    signal?.throwIfAborted();
    return onDisk(async () => {
      const opened = await this.#open(path);
      if (!opened) return null;
      const { startBytes, endBytes } = this.#within(key, range, opened.sizeBytes);
      return new FileBytes(opened.handle, startBytes, endBytes, signal);
    });
  }

  async readAll(key: string, range?: ByteRange): Promise<Uint8Array | null> {
    const path = this.#pathOf(key);
    return onDisk(async () => {
      if (range && isSegmentKey(key)) {
        const { startBytes, endBytes } = this.#within(key, range, Number.POSITIVE_INFINITY);
        return orMissing(this.#readers.read(path, startBytes, endBytes - startBytes));
      }
      const opened = await this.#open(path);
      if (!opened) return null;
      try {
        const { startBytes, endBytes } = this.#within(key, range, opened.sizeBytes);
        return await readFully(opened.handle, startBytes, endBytes - startBytes);
      } finally {
        await opened.handle.close();
      }
    });
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await onDisk(() => orMissing(unlink(path)));
    this.#readers.forget(path);
    await this.#removeEmptyFolders(key);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<BlobInfo> {
    checkPrefix(prefix);
    try {
      for await (const info of listFolder(join(this.#root, prefix), prefix, { signal })) {
        yield { ...info, bytes: this.#readableBytes(info.key, info.bytes) };
      }
    } catch (error) {
      throw asStoreError(error);
    }
  }

  openLog(prefix: string, settings: Partial<SegmentLogSettings> = {}): SegmentLog {
    checkPrefix(prefix);
    const run = newRunName(this.#clock, this.#random);
    const folder = prefix + run;
    const medium = {
      oneBatchPerSegment: false,
      create: (key: string) => this.#disk.create(this.#pathOf(key)),
      probe: (below: string) => this.#disk.probe(join(this.#root, below)),
      describe: describeDiskError,
    };
    const onClosed = (): void => void this.#logs.delete(folder);
    const log = new GroupCommitLog(
      prefix,
      run,
      { ...LOG_DEFAULTS, ...settings },
      { medium, clock: this.#clock, onClosed },
    );
    this.#logs.set(folder, log);
    return log;
  }

  async sweepUnfinished(olderThanMs: number): Promise<number> {
    const folder = join(this.#root, DRAFTS);
    const newestEpochMs = this.#clock.epochMs() - olderThanMs;
    return onDisk(async () => {
      let removed = 0;
      const drafts = await orMissing(opendir(folder));
      if (!drafts) return removed;
      for await (const { name } of drafts) {
        const draft = join(folder, name);
        const found = await orMissing(stat(draft));
        if (!found?.isFile() || found.mtimeMs > newestEpochMs) continue;
        await orMissing(unlink(draft));
        removed += 1;
      }
      return removed;
    });
  }

  async freeBytes(): Promise<number | null> {
    for (let folder = this.#root; ; folder = dirname(folder)) {
      const found = await onDisk(() => orMissing(statfs(folder)));
      if (found) return found.bavail * found.bsize;
      if (folder === dirname(folder)) return null;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#logs.values()].map((log) => log.close()));
    await this.#readers.close();
  }

  #pathOf(key: string): string {
    checkKey(key);
    return join(this.#root, key);
  }

  async #open(path: string): Promise<{ handle: FileHandle; sizeBytes: number } | null> {
    const handle = await orMissing(open(path, 'r'));
    if (!handle) return null;
    try {
      const found = await handle.stat();
      if (found.isFile()) return { handle, sizeBytes: found.size };
      await handle.close();
      return null;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  #within(key: string, range: ByteRange | undefined, sizeBytes: number): { startBytes: number; endBytes: number } {
    const readableBytes = this.#readableBytes(key, sizeBytes);
    const endBytes = range ? Math.min(range.lastByte + 1, readableBytes) : readableBytes;
    const startBytes = Math.min(range?.firstByte ?? 0, endBytes);
    return { startBytes, endBytes };
  }

  /** What a log of this store has written but not synced is not there yet. */
  #readableBytes(key: string, sizeBytes: number): number {
    return this.#logs.get(dirname(key))?.syncedBytes(key) ?? sizeBytes;
  }

  async #removeEmptyFolders(key: string): Promise<void> {
    for (let folder = dirname(key); folder !== '.'; folder = dirname(folder)) {
      try {
        await rmdir(join(this.#root, folder));
      } catch {
        // Not empty yet, or just used again by somebody, who then creates it anew.
        return;
      }
    }
  }
}
