/** One line of a file, without its line break. */
export interface SplitLine {
  /** 0-based. */
  readonly line: number;
  /** Of its first byte in the file; a byte order mark is not part of the line. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Valid until the next line is taken; null = the line is longer than the limit. */
  readonly bytes: Uint8Array | null;
}

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;
/** What may surround a line of the longest allowed length: a mark and a carriage return. */
const SLACK_BYTES = BYTE_ORDER_MARK.length + 1;
const FIRST_CARRY_BYTES = 65_536;

/**
 * Cuts a file that comes in chunks of any size into lines, at "\n" or "\r\n". Of a line that is not complete it keeps
 * little more than `maxLineBytes`. A byte order mark at the start is left out; the last line needs no line break.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  /** Start of the line that goes on in the next chunk. */
  #carry = new Uint8Array(0);
  #keptBytes = 0;
  #openLineBytes = 0;
  #line = 0;
  #lineStartBytes = 0;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Bytes so far of the line that is not complete, kept or not. */
  get openLineBytes(): number {
    return this.#openLineBytes;
  }

  /** The lines that end in this chunk. To be taken to the end before the next chunk. */
  *push(chunk: Uint8Array): Generator<SplitLine, void, void> {
    let from = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
      yield this.#complete(chunk.subarray(from, end), 1);
      from = end + 1;
    }
    const rest = chunk.subarray(from);
    this.#openLineBytes += rest.length;
    this.#keep(rest);
  }

  /** The last line, if it lacks its line break. */
  *end(): Generator<SplitLine, void, void> {
    if (this.#openLineBytes > 0) yield this.#complete(new Uint8Array(0), 0);
  }

  #complete(rest: Uint8Array, breakBytes: number): SplitLine {
    const fullBytes = this.#openLineBytes + rest.length;
    const fits = fullBytes <= this.#maxLineBytes + SLACK_BYTES;
    let bytes = fits ? this.#joined(rest) : null;
    const line = this.#line;
    let offsetBytes = this.#lineStartBytes;
    if (bytes && line === 0 && startsWithMark(bytes)) {
      bytes = bytes.subarray(BYTE_ORDER_MARK.length);
      offsetBytes += BYTE_ORDER_MARK.length;
    }
    if (bytes?.at(-1) === CR) bytes = bytes.subarray(0, -1);
    this.#line += 1;
    this.#lineStartBytes += fullBytes + breakBytes;
    this.#openLineBytes = 0;
    this.#keptBytes = 0;
    if (bytes && bytes.length > this.#maxLineBytes) bytes = null;
    return { line, offsetBytes, lengthBytes: bytes?.length ?? fullBytes, bytes };
  }

  #joined(rest: Uint8Array): Uint8Array {
    if (this.#keptBytes === 0) return rest;
    this.#keep(rest);
    return this.#carry.subarray(0, this.#keptBytes);
  }

  #keep(bytes: Uint8Array): void {
    const room = this.#maxLineBytes + SLACK_BYTES - this.#keptBytes;
    const kept = bytes.length > room ? bytes.subarray(0, room) : bytes;
    const needed = this.#keptBytes + kept.length;
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2, FIRST_CARRY_BYTES));
      grown.set(this.#carry.subarray(0, this.#keptBytes));
      this.#carry = grown;
    }
    this.#carry.set(kept, this.#keptBytes);
    this.#keptBytes = needed;
  }
}

function startsWithMark(bytes: Uint8Array): boolean {
  return BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte);
}
