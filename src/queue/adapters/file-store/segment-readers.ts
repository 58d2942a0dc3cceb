import { type FileHandle, open } from 'node:fs/promises';
import { type SegmentId, segmentPath, segmentText } from './segment-name.ts';

interface Reader {
  readonly handle: Promise<FileHandle>;
  users: number;
}

/** Open segments for reading by position; at most `limit` are kept open while nobody reads them. */
export class SegmentReaders {
  readonly #folder: string;
  readonly #limit: number;
  /** Least recently used first. */
  readonly #readers = new Map<string, Reader>();

  constructor(folder: string, limit: number) {
    this.#folder = folder;
    this.#limit = limit;
  }

  /** The bytes, fewer at the end of the file; null when the segment does not exist. Rejects on disk errors. */
  async read(segment: SegmentId, offsetBytes: number, lengthBytes: number): Promise<Buffer | null> {
    const reader = this.#take(segment);
    reader.users += 1;
    try {
      const handle = await reader.handle;
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(lengthBytes), 0, lengthBytes, offsetBytes);
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    } finally {
      reader.users -= 1;
      await this.#shrink();
    }
  }

  async close(): Promise<void> {
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    await Promise.allSettled(readers.map(async ({ handle }) => (await handle).close()));
  }

  #take(segment: SegmentId): Reader {
    const key = segmentText(segment);
    const known = this.#readers.get(key);
    this.#readers.delete(key);
    const reader = known ?? { handle: open(segmentPath(this.#folder, segment), 'r'), users: 0 };
    this.#readers.set(key, reader);
    if (!known) reader.handle.catch(() => this.#readers.delete(key));
    return reader;
  }

  async #shrink(): Promise<void> {
    if (this.#readers.size <= this.#limit) return;
    for (const [key, reader] of this.#readers) {
      if (reader.users > 0) continue;
      this.#readers.delete(key);
      await (await reader.handle).close();
      return;
    }
  }
}
