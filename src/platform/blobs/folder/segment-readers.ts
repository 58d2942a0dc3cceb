import { type FileHandle, open } from 'node:fs/promises';

interface Reader {
  readonly handle: Promise<FileHandle>;
  users: number;
}

/** No more is reserved on the word of a reference, which may be damaged. */
const UNCHECKED_BYTES = 8 * 1_048_576;

/** Open segments for reading by position; at most `limit` are kept open while nobody reads them. */
export class SegmentReaders {
  readonly #limit: number;
  /** Least recently used first. */
  readonly #readers = new Map<string, Reader>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The bytes, fewer at the end of the file. Rejects on disk errors, ENOENT among them. */
  async read(path: string, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const reader = this.#take(path);
    reader.users += 1;
    try {
      const handle = await reader.handle;
      if (lengthBytes <= UNCHECKED_BYTES) return await readFully(handle, offsetBytes, lengthBytes);
      const { size } = await handle.stat();
      return await readFully(handle, offsetBytes, Math.max(0, Math.min(lengthBytes, size - offsetBytes)));
    } finally {
      reader.users -= 1;
      await this.#shrink();
    }
  }

  /** The segment was removed: it is closed once nobody reads it. */
  forget(path: string): void {
    const reader = this.#readers.get(path);
    if (!reader || reader.users > 0) return;
    this.#readers.delete(path);
    reader.handle.then((handle) => handle.close()).catch(() => undefined);
  }

  async close(): Promise<void> {
    const readers = [...this.#readers.values()];
    this.#readers.clear();
    await Promise.allSettled(readers.map(async ({ handle }) => (await handle).close()));
  }

  #take(path: string): Reader {
    const known = this.#readers.get(path);
    this.#readers.delete(path);
    const reader = known ?? { handle: open(path, 'r'), users: 0 };
    this.#readers.set(path, reader);
    if (!known) reader.handle.catch(() => this.#readers.delete(path));
    return reader;
  }

  async #shrink(): Promise<void> {
    if (this.#readers.size <= this.#limit) return;
    for (const [path, reader] of this.#readers) {
      if (reader.users > 0) continue;
      this.#readers.delete(path);
      await (await reader.handle).close();
      return;
    }
  }
}

/** The bytes from there on, fewer at the end of the file. */
export async function readFully(handle: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const { bytesRead } = await handle.read(buffer, done, lengthBytes - done, offsetBytes + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
