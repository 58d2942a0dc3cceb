/**
 * Cuts a stream of server-sent events into complete events without touching a byte of it.
 * Rules: WHATWG HTML, "Parsing an event stream": lines end with LF, CR or CRLF, an empty line ends an event.
 */

const LF = 10;
const CR = 13;
const DECODER = new TextDecoder();

export type Inspect = (data: string | null) => boolean;

export interface SplitResult {
  /** Bytes of all complete events that were let through, ready to be forwarded; null = none completed. */
  readonly forward: Uint8Array | null;
  /** An event was refused: it and everything after it is not in `forward`, and nothing more may be pushed. */
  readonly stopped: boolean;
  /** The event that is still incomplete is larger than allowed. */
  readonly overflow: boolean;
}

/** Holds at most one incomplete event of `maxEventBytes` plus one chunk. */
export class SseSplitter {
  readonly #maxEventBytes: number;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  #lineBytes = 0;
  #eventBytes = 0;
  #afterCr = false;

  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes;
  }

  /**
   * Calls `inspect` with the data of each event that `chunk` completes (null for one without data, a comment) until it
   * answers false. O(bytes). The chunk is kept until its last event is complete, so it must not be reused.
   */
  push(chunk: Uint8Array, inspect: Inspect): SplitResult {
    let passedTo = 0;
    let from = 0;
    for (let end = this.#nextBoundary(chunk, 0); end >= 0; end = this.#nextBoundary(chunk, end)) {
      const event = chunk.subarray(from, end);
      const whole = passedTo === 0 && this.#partsBytes > 0 ? joined(this.#parts, this.#partsBytes, event) : event;
      if (!inspect(dataOf(DECODER.decode(whole)))) {
        return { forward: this.#take(chunk, passedTo), stopped: true, overflow: false };
      }
      passedTo = end;
      from = end;
    }
    const forward = this.#take(chunk, passedTo);
    if (passedTo < chunk.length) {
      const rest = chunk.subarray(passedTo);
      this.#parts.push(rest);
      this.#partsBytes += rest.length;
    }
    return { forward, stopped: false, overflow: this.#partsBytes > this.#maxEventBytes };
  }

  /** Waiting bytes plus the chunk up to `end`; forgets the waiting ones. */
  #take(chunk: Uint8Array, end: number): Uint8Array | null {
    if (end === 0) return null;
    const passed = end === chunk.length ? chunk : chunk.subarray(0, end);
    if (this.#partsBytes === 0) return passed;
    const whole = joined(this.#parts, this.#partsBytes, passed);
    this.#parts = [];
    this.#partsBytes = 0;
    return whole;
  }

  /** Index after the empty line that ends the next event at or after `start`; -1 = the chunk ends before it. */
  #nextBoundary(chunk: Uint8Array, start: number): number {
    for (let index = start; index < chunk.length; index += 1) {
      const byte = chunk[index];
      if (byte === LF && this.#afterCr) {
        this.#afterCr = false;
        continue;
      }
      this.#afterCr = byte === CR;
      if (byte !== LF && byte !== CR) {
        this.#lineBytes += 1;
        this.#eventBytes += 1;
        continue;
      }
      const ended = this.#lineBytes === 0 && this.#eventBytes > 0;
      this.#lineBytes = 0;
      if (!ended) continue;
      this.#eventBytes = 0;
      if (byte === CR && chunk[index + 1] === LF) {
        this.#afterCr = false;
        return index + 2;
      }
      return index + 1;
    }
    return -1;
  }
}

function joined(parts: readonly Uint8Array[], partsBytes: number, last: Uint8Array): Uint8Array {
  const whole = new Uint8Array(partsBytes + last.length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  whole.set(last, offset);
  return whole;
}

/** The event's data lines joined with LF; null when it has none. */
function dataOf(event: string): string | null {
  if (event.startsWith('data: {') && event.indexOf('\n') === event.length - 2) return event.slice(6, -2);
  let data: string | null = null;
  for (const line of event.split(/\r\n|\n|\r/u)) {
    if (line !== 'data' && !line.startsWith('data:')) continue;
    const value = line.slice(line.startsWith('data: ') ? 6 : 5);
    data = data === null ? value : `${data}\n${value}`;
  }
  return data;
}
