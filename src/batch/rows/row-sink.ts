import type { ResponseHead, ResponseSink } from '../../core/dispatch.ts';

/** The answer of one row, kept until its line is written. */
export class RowSink implements ResponseSink {
  readonly #limitBytes: number;
  readonly #onTooLarge: () => void;
  #head: ResponseHead = { status: 0, headers: {} };
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #isTooLarge = false;

  /** `onTooLarge` is called once, when the answer passes the limit; what comes later is dropped. */
  constructor(limitBytes: number, onTooLarge: () => void) {
    this.#limitBytes = limitBytes;
    this.#onTooLarge = onTooLarge;
  }

  get isTooLarge(): boolean {
    return this.#isTooLarge;
  }

  get waitedMs(): number | null {
    return this.#head.waitedMs ?? null;
  }

  body(): Uint8Array {
    const [only] = this.#chunks;
    return this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks);
  }

  waiting(): void {
    // Nobody watches a row wait: its batch tells how far it is.
  }

  begin(head: ResponseHead): void {
    this.#head = head;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isTooLarge) return true;
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#limitBytes) {
      this.#isTooLarge = true;
      this.#chunks = [];
      this.#onTooLarge();
    } else {
      this.#chunks.push(chunk);
    }
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  end(): void {
    // The whole answer is here; `persist` takes it next.
  }
}
