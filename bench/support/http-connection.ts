import { connect, type Socket } from 'node:net';

/** How one answer came in. Times are of `performance.now()`. */
export interface Answer {
  readonly status: number;
  readonly firstByteAtMs: number;
  readonly bodyBytes: number;
  /** Server-sent events of a stream, by their empty lines; 0 of a plain answer. */
  readonly events: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const EVENT_END = Buffer.from('\n\n');
const STATUS_AT = 'HTTP/1.1 '.length;

interface Reading {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  status: number;
  firstByteAtMs: number;
  /** Of a body whose length was told; null = chunked. */
  bytesLeft: number | null;
  bodyBytes: number;
  events: number;
  isStream: boolean;
}

/**
 * One keep-alive connection, one request at a time. It reads what the servers of this bench send and no more of HTTP: a
 * head that comes in one piece, a body with a length or chunks. So the load costs little beside what it loads.
 */
export class HttpConnection {
  readonly #socket: Socket;
  #reading: Reading | null = null;
  #error: Error | null = null;

  constructor(url: URL) {
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    this.#socket.on('data', (bytes: Buffer) => this.#received(bytes));
    this.#socket.on('error', (error) => this.#broken(error));
    this.#socket.on('close', () => this.#broken(new Error('the server closed the connection')));
  }

  /** Sends `request`, the bytes of a whole one. Rejects when the connection breaks. */
  exchange(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#error) {
        reject(this.#error);
        return;
      }
      this.#reading = {
        ...{ resolve, reject, status: 0, firstByteAtMs: 0, bytesLeft: null, bodyBytes: 0, events: 0, isStream: false },
      };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#reading = null;
    this.#socket.destroy();
  }

  #received(bytes: Buffer): void {
    const reading = this.#reading;
    if (!reading) return;
    if (reading.status === 0) this.#readHead(reading, bytes);
    else this.#readBody(reading, bytes);
  }

  #readHead(reading: Reading, bytes: Buffer): void {
    const headEnd = bytes.indexOf(HEAD_END);
    const head = bytes.toString('latin1', 0, headEnd < 0 ? bytes.length : headEnd).toLowerCase();
    if (headEnd < 0) {
      this.#broken(new Error(`the head did not come in one piece: ${head.slice(0, 80)}`));
      return;
    }
    reading.firstByteAtMs = performance.now();
    reading.status = Number(head.slice(STATUS_AT, STATUS_AT + 3));
    const lengthAt = head.indexOf('content-length: ');
    reading.bytesLeft = lengthAt < 0 ? null : Number.parseInt(head.slice(lengthAt + 16), 10);
    reading.isStream = head.includes('text/event-stream');
    this.#readBody(reading, bytes.subarray(headEnd + HEAD_END.length));
  }

  #readBody(reading: Reading, bytes: Buffer): void {
    reading.bodyBytes += bytes.length;
    if (reading.isStream) reading.events += countOf(bytes, EVENT_END);
    if (reading.bytesLeft !== null) {
      reading.bytesLeft -= bytes.length;
      if (reading.bytesLeft > 0) return;
    } else if (!bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) {
      return;
    }
    this.#reading = null;
    reading.resolve(reading);
  }

  #broken(error: Error): void {
    this.#error ??= error;
    const reading = this.#reading;
    this.#reading = null;
    reading?.reject(this.#error);
  }
}

function countOf(bytes: Buffer, pattern: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + pattern.length)) count += 1;
  return count;
}

/** The bytes of a POST with a JSON body. */
export function postRequest(url: URL, body: string): Buffer {
  const head = [
    `POST ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}
