import type { IncomingMessage } from 'node:http';
import { type ApiError, type Checked, unavailable } from '../policy/api-error.ts';

/** Reads request bodies under two limits: of one body, and of all that are being read. */
export class BodyReader {
  readonly #maxBytes: number;
  readonly #maxReadingBytes: number;
  #readingBytes = 0;

  constructor(maxBytes: number, maxReadingBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxReadingBytes = maxReadingBytes;
  }

  /** The body as text. Of a body over a limit the rest is read and thrown away. Null when the caller broke off. */
  read(request: IncomingMessage): Promise<Checked<string> | null> {
    return new Promise((resolve) => {
      let chunks: Buffer[] = [];
      let bytes = 0;
      let refusal: ApiError | null = null;
      const settle = (outcome: Checked<string> | null) => {
        this.#readingBytes -= bytes;
        bytes = 0;
        chunks = [];
        resolve(outcome);
      };
      request.on('data', (chunk: Buffer) => {
        if (refusal !== null) return;
        bytes += chunk.length;
        this.#readingBytes += chunk.length;
        chunks.push(chunk);
        refusal = this.#refusal(bytes);
        if (refusal !== null) settle({ ok: false, error: refusal });
      });
      request.on('end', () => settle({ ok: true, value: Buffer.concat(chunks).toString('utf8') }));
      request.on('close', () => settle(null));
    });
  }

  #refusal(bytes: number): ApiError | null {
    if (bytes > this.#maxBytes) {
      const message = `The body is larger than ${this.#maxBytes} bytes (--max-body).`;
      return { status: 413, type: 'RequestEntityTooLargeError', message, param: null };
    }
    if (this.#readingBytes <= this.#maxReadingBytes) return null;
    return unavailable(`All bodies together are larger than ${this.#maxReadingBytes} bytes (--max-body-total).`);
  }
}
