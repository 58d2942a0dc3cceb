import type { StoredFile } from '../../core/files.ts';
import { type ReadBlock, readBlocks, type RowBytes } from '../policy/rows/coalesce.ts';
import type { FileCabinet } from '../ports.ts';

/** Rows of a chunk are read in pieces of this size; a longer row is a piece of its own. */
const BLOCK_BYTES = 1_048_576;

/** Bytes that all chunks of this process may have read ahead of need. */
export class ReadAhead {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

interface Loaded {
  readonly bytes: Promise<Uint8Array>;
  /** Taken from the read-ahead budget; 0 = it was needed at once. */
  readonly aheadBytes: number;
  rowsLeft: number;
}

/**
 * The lines of one chunk's rows, asked for in about the order of `rows`. Neighbours are read together; the next piece is
 * read while the present one is used, as far as the process's budget allows. Holds one or two pieces.
 */
export class RowSource<Row extends RowBytes> {
  readonly #cabinet: Pick<FileCabinet, 'read'>;
  readonly #file: StoredFile;
  readonly #ahead: ReadAhead;
  readonly #signal: AbortSignal;
  readonly #blocks: readonly ReadBlock<Row>[];
  readonly #blockOf = new Map<Row, number>();
  readonly #loaded = new Map<number, Loaded>();

  constructor(
    deps: { readonly cabinet: Pick<FileCabinet, 'read'>; readonly ahead: ReadAhead },
    file: StoredFile,
    rows: readonly Row[],
    signal: AbortSignal,
  ) {
    this.#cabinet = deps.cabinet;
    this.#ahead = deps.ahead;
    this.#file = file;
    this.#signal = signal;
    this.#blocks = readBlocks(rows, BLOCK_BYTES);
    for (const [index, block] of this.#blocks.entries()) for (const row of block.rows) this.#blockOf.set(row, index);
  }

  /** Its line. A row may be taken again (a retry): it is then read alone. Throws what the files throw. */
  async take(row: Row): Promise<Uint8Array> {
    const index = this.#blockOf.get(row);
    const block = index === undefined ? undefined : this.#blocks[index];
    if (index === undefined || !block) {
      return await this.#read(row.offsetBytes, row.offsetBytes + row.lengthBytes - 1);
    }
    this.#blockOf.delete(row);
    const loaded = this.#load(index, 0);
    this.#loadAhead(index + 1);
    try {
      const start = row.offsetBytes - block.firstByte;
      return (await loaded.bytes).subarray(start, start + row.lengthBytes);
    } finally {
      loaded.rowsLeft -= 1;
      if (loaded.rowsLeft === 0) this.#drop(index);
    }
  }

  /** Lets go of what was read ahead. */
  close(): void {
    for (const index of this.#loaded.keys()) this.#drop(index);
  }

  #loadAhead(index: number): void {
    const block = this.#blocks[index];
    if (!block || this.#loaded.has(index)) return;
    const bytes = block.lastByte - block.firstByte + 1;
    if (this.#ahead.take(bytes)) this.#load(index, bytes);
  }

  #load(index: number, aheadBytes: number): Loaded {
    const known = this.#loaded.get(index);
    if (known) return known;
    const block = this.#blocks[index];
    if (!block) throw new RangeError(`no block ${index}`);
    const bytes = this.#read(block.firstByte, block.lastByte);
    // Read ahead, it may fail before anybody waits for it.
    bytes.catch(() => undefined);
    const loaded: Loaded = { bytes, aheadBytes, rowsLeft: block.rows.length };
    this.#loaded.set(index, loaded);
    return loaded;
  }

  #drop(index: number): void {
    const loaded = this.#loaded.get(index);
    if (!loaded) return;
    this.#loaded.delete(index);
    this.#ahead.giveBack(loaded.aheadBytes);
  }

  async #read(firstByte: number, lastByte: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#cabinet.read(this.#file, { firstByte, lastByte }, this.#signal)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
}
