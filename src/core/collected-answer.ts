import type { ResponseHead, ResponseSink } from './dispatch.ts';

/** One answer that nobody watches, kept until it is complete: of a stored job, or of a row. */
export class CollectedAnswer implements ResponseSink {
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

  get contentType(): string {
    return this.#head.headers['content-type'] ?? 'application/json';
  }

  /** In the live order, before the slot; null = not told. */
  get waitedMs(): number | null {
    return this.#head.waitedMs ?? null;
  }

  /** What came so far, in one piece. */
  body(): Uint8Array {
    const [only] = this.#chunks;
    if (this.#chunks.length === 1 && only) return only;
    const whole = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, at);
      at += chunk.byteLength;
    }
    return whole;
  }

  waiting(): void {
    // Its job or its batch tells how far it is.
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
      this.#bytes = 0;
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
    // The whole answer is here; whoever collects it takes it next.
  }
}
