import type { BlobStore, SegmentPlace } from '../../core/blobs.ts';
import {
  type CorruptRecord,
  decodeHeader,
  decodePreamble,
  decodeRecord,
  isBodyIntact,
  PREAMBLE_BYTES,
  type Preamble,
} from './record-codec.ts';

/** Makes sense of a header whose CRC is right; null for one that is not of the caller's kind, which ends a scan. */
export type ParseHeader<H> = (header: unknown) => H | null;

export type ReadRecord<H> =
  | { readonly kind: 'found'; readonly header: H; readonly body: Buffer }
  /** The segment is not there. */
  | { readonly kind: 'gone' }
  | CorruptRecord;

export interface ScannedSegmentRecord<H> {
  readonly header: H;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly bodyBytes: number;
}

/** Where the whole records of a segment end, and how much lies behind them. */
export interface SegmentEnd {
  readonly wholeBytes: number;
  readonly strayBytes: number;
}

export interface ScanOptions {
  /** Bytes of the segment that are looked at; default: all that are synced. */
  readonly untilBytes?: number;
  /** Whether bodies are read and checked too. Default false: a record counts by its header and its length. */
  readonly checkBodies?: boolean;
  /** Read at once. Default 256 KiB: some hundred records; bodies that are longer are passed over unread. */
  readonly windowBytes?: number;
  readonly signal?: AbortSignal;
}

const WINDOW_BYTES = 262_144;
/** Preamble and header of most records, with room to spare. */
const USUAL_HEAD_BYTES = 2_048;

type Blobs = Pick<BlobStore, 'info' | 'readAll'>;

/** One record, checked against its CRC. Throws `store_unavailable` when the store cannot be read. */
export async function readRecord<H>(blobs: Blobs, place: SegmentPlace, parse: ParseHeader<H>): Promise<ReadRecord<H>> {
  const bytes = await readAt(blobs, place.key, place.offsetBytes, place.lengthBytes);
  if (!bytes) return { kind: 'gone' };
  if (bytes.byteLength < place.lengthBytes)
    return { kind: 'corrupt', why: `the segment is shorter (${textOf(place)})` };
  const record = decodeRecord(bytes);
  if (record.kind === 'corrupt') return { kind: 'corrupt', why: `${record.why} (${textOf(place)})` };
  const header = parse(record.header);
  if (header === null) return { kind: 'corrupt', why: `the record is of another kind (${textOf(place)})` };
  return { kind: 'found', header, body: record.body };
}

/** The same without the body, and without checking it; null when it is gone or damaged. */
export async function readRecordHeader<H>(blobs: Blobs, place: SegmentPlace, parse: ParseHeader<H>): Promise<H | null> {
  const start = await readAt(blobs, place.key, place.offsetBytes, Math.min(place.lengthBytes, USUAL_HEAD_BYTES));
  const preamble = start && decodePreamble(start);
  if (!preamble) return null;
  const headBytes = PREAMBLE_BYTES + preamble.headerBytes;
  const head = start.byteLength >= headBytes ? start : await readAt(blobs, place.key, place.offsetBytes, headBytes);
  const header = head && decodeHeader(head.subarray(0, headBytes));
  return header ? parse(header) : null;
}

/**
 * The whole records of a segment, in order; returns where they end, or null when the segment is not there (any more).
 * The first record that is not whole (length, CRC) ends it: a process died while writing it, or is writing it now.
 */
export async function* scanRecords<H>(
  blobs: Blobs,
  key: string,
  parse: ParseHeader<H>,
  options: ScanOptions = {},
): AsyncGenerator<ScannedSegmentRecord<H>, SegmentEnd | null> {
  const untilBytes = options.untilBytes ?? (await blobs.info(key))?.bytes;
  if (untilBytes === undefined) return null;
  const window = new ReadWindow(blobs, key, untilBytes, options.windowBytes ?? WINDOW_BYTES);
  let offsetBytes = 0;
  for (;;) {
    options.signal?.throwIfAborted();
    const record = await recordAt(window, offsetBytes, untilBytes, parse, options.checkBodies ?? false);
    if (window.isGone) return null;
    if (!record) return { wholeBytes: offsetBytes, strayBytes: untilBytes - offsetBytes };
    yield record;
    offsetBytes += record.lengthBytes;
  }
}

async function recordAt<H>(
  window: ReadWindow,
  offsetBytes: number,
  untilBytes: number,
  parse: ParseHeader<H>,
  checkBodies: boolean,
): Promise<ScannedSegmentRecord<H> | null> {
  const preamble = decodePreamble(await window.bytes(offsetBytes, PREAMBLE_BYTES));
  if (!preamble) return null;
  const headBytes = PREAMBLE_BYTES + preamble.headerBytes;
  const lengthBytes = headBytes + preamble.bodyBytes;
  if (offsetBytes + lengthBytes > untilBytes) return null;
  const decoded = decodeHeader(await window.bytes(offsetBytes, headBytes));
  const header = decoded && parse(decoded);
  if (header === null) return null;
  if (checkBodies && !(await hasIntactBody(window, offsetBytes + headBytes, preamble))) return null;
  return { header, offsetBytes, lengthBytes, bodyBytes: preamble.bodyBytes };
}

async function hasIntactBody(window: ReadWindow, offsetBytes: number, preamble: Preamble): Promise<boolean> {
  return isBodyIntact(preamble, await window.bytes(offsetBytes, preamble.bodyBytes));
}

/** One piece of a segment, moved forward as it is read. */
class ReadWindow {
  /** The segment was removed while it was read. */
  isGone = false;
  readonly #blobs: Blobs;
  readonly #key: string;
  readonly #untilBytes: number;
  readonly #windowBytes: number;
  #startBytes = 0;
  #piece: Buffer = Buffer.alloc(0);

  constructor(blobs: Blobs, key: string, untilBytes: number, windowBytes: number) {
    this.#blobs = blobs;
    this.#key = key;
    this.#untilBytes = untilBytes;
    this.#windowBytes = windowBytes;
  }

  /** Valid until the next call; shorter at the end. */
  async bytes(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const isInside =
      offsetBytes >= this.#startBytes && offsetBytes + lengthBytes <= this.#startBytes + this.#piece.byteLength;
    if (!isInside) {
      const wantedBytes = Math.min(Math.max(lengthBytes, this.#windowBytes), this.#untilBytes - offsetBytes);
      this.#piece = wantedBytes > 0 ? await this.#read(offsetBytes, wantedBytes) : Buffer.alloc(0);
      this.#startBytes = offsetBytes;
    }
    const start = offsetBytes - this.#startBytes;
    return this.#piece.subarray(start, start + lengthBytes);
  }

  async #read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const read = await readAt(this.#blobs, this.#key, offsetBytes, lengthBytes);
    this.isGone = read === null;
    return read ?? Buffer.alloc(0);
  }
}

async function readAt(blobs: Blobs, key: string, offsetBytes: number, lengthBytes: number): Promise<Buffer | null> {
  if (lengthBytes === 0) return Buffer.alloc(0);
  const range = { firstByte: offsetBytes, lastByte: offsetBytes + lengthBytes - 1 };
  const bytes = await blobs.readAll(key, range);
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf({ key, offsetBytes, lengthBytes }: SegmentPlace): string {
  return `${key} from byte ${offsetBytes}, ${lengthBytes} bytes`;
}
