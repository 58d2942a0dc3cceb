import type {
  BlobInfo,
  BlobStore,
  ByteRange,
  PutAnswer,
  PutOptions,
  SegmentLog,
  SegmentPlace,
} from '../../src/core/blobs.ts';
import { PilotlightError } from '../../src/core/errors.ts';

const KEY = /^(?!\.{1,2}(\/|$))[0-9A-Za-z._-]+(\/(?!\.{1,2}(\/|$))[0-9A-Za-z._-]+)*$/;
const CHUNK_BYTES = 65_536;

export type BlobOperation = 'put' | 'info' | 'read' | 'delete' | 'list' | 'append';

interface Blob {
  bytes: Buffer;
  modifiedAtEpochMs: number;
}

/** A BlobStore that forgets. Breaks when told to; `blobs` and `unfinished` may be looked at. */
export class MemoryBlobStore implements BlobStore {
  readonly kind = 'folder';
  readonly blobs = new Map<string, Blob>();
  /** Called before each operation; what it throws is the operation's failure. */
  fault: (operation: BlobOperation, key: string) => void | Promise<void> = () => undefined;
  /** What lists do not show yet. */
  isUnlisted: (key: string) => boolean = () => false;
  /** What `freeBytes` says. */
  free: number | null = null;
  /** Puts that have begun and not ended. */
  unfinished = 0;
  readonly #now: () => number;
  #segments = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  get keys(): readonly string[] {
    return [...this.blobs.keys()].sort();
  }

  /** The bytes of a blob as text. Throws when there is none. */
  text(key: string): string {
    const blob = this.blobs.get(key);
    if (!blob) throw new Error(`no blob ${key}; there are ${this.keys.join(' ')}`);
    return blob.bytes.toString();
  }

  async put(key: string, source: AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<PutAnswer> {
    checkKey(key);
    options.signal?.throwIfAborted();
    await this.fault('put', key);
    this.unfinished += 1;
    try {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of source) {
        options.signal?.throwIfAborted();
        bytes += chunk.length;
        if (options.maxBytes !== undefined && bytes > options.maxBytes) {
          throw new PilotlightError('file_too_large', `More than ${options.maxBytes} bytes.`);
        }
        chunks.push(Buffer.from(chunk));
      }
      options.signal?.throwIfAborted();
      if (options.ifAbsent && this.blobs.has(key)) return { kind: 'exists' };
      this.blobs.set(key, { bytes: Buffer.concat(chunks), modifiedAtEpochMs: this.#now() });
      return { kind: 'stored', bytes };
    } finally {
      this.unfinished -= 1;
    }
  }

  async info(key: string): Promise<BlobInfo | null> {
    checkKey(key);
    await this.fault('info', key);
    const blob = this.blobs.get(key);
    return blob ? { key, bytes: blob.bytes.length, modifiedAtEpochMs: blob.modifiedAtEpochMs } : null;
  }

  async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array> | null> {
    const bytes = await this.readAll(key, range);
    return bytes && inChunks(bytes, signal);
  }

  async readAll(key: string, range?: ByteRange): Promise<Uint8Array | null> {
    checkKey(key);
    await this.fault('read', key);
    const blob = this.blobs.get(key);
    if (!blob) return null;
    return Buffer.from(range ? blob.bytes.subarray(range.firstByte, range.lastByte + 1) : blob.bytes);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.fault('delete', key);
    this.blobs.delete(key);
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<BlobInfo> {
    if (prefix !== '' && !prefix.endsWith('/')) throw new Error(`a prefix ends in "/": ${prefix}`);
    await this.fault('list', prefix);
    for (const key of this.keys) {
      signal?.throwIfAborted();
      const info = key.startsWith(prefix) && !this.isUnlisted(key) ? await this.info(key) : null;
      if (info) yield info;
    }
  }

  openLog(prefix: string): SegmentLog {
    this.#segments += 1;
    return new MemoryLog(this, `${prefix}${this.#segments}`, this.#now);
  }

  sweepUnfinished(): Promise<number> {
    return Promise.resolve(0);
  }

  freeBytes(): Promise<number | null> {
    return Promise.resolve(this.free);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class MemoryLog implements SegmentLog {
  readonly #store: MemoryBlobStore;
  readonly #key: string;
  readonly #now: () => number;
  #closed = false;

  constructor(store: MemoryBlobStore, key: string, now: () => number) {
    this.#store = store;
    this.#key = key;
    this.#now = now;
  }

  get pendingBytes(): number {
    return 0;
  }

  async append(record: readonly Uint8Array[]): Promise<SegmentPlace> {
    if (this.#closed) throw new PilotlightError('store_unavailable', 'The log is closed.');
    await this.#store.fault('append', this.#key);
    const before = this.#store.blobs.get(this.#key)?.bytes ?? Buffer.alloc(0);
    const added = Buffer.concat(record);
    this.#store.blobs.set(this.#key, { bytes: Buffer.concat([before, added]), modifiedAtEpochMs: this.#now() });
    return { key: this.#key, offsetBytes: before.length, lengthBytes: added.length };
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }
}

function checkKey(key: string): void {
  if (key.length > 512 || !KEY.test(key)) throw new Error(`not a key of a blob: ${key}`);
}

// eslint-disable-next-line @typescript-eslint/require-await -- the port's readers are asynchronous
async function* inChunks(bytes: Uint8Array, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    signal?.throwIfAborted();
    yield bytes.subarray(at, at + CHUNK_BYTES);
  }
}
