import type { ByteBudget } from './byte-budget.ts';
import type { Failure } from './policy/failure.ts';

/** Keeps the bytes of one answer until it is known whether they may be forwarded. Bounded by itself and with all others. */
export class Collector {
  readonly #limitBytes: number;
  readonly #shared: ByteBudget;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(limitBytes: number, shared: ByteBudget) {
    this.#limitBytes = limitBytes;
    this.#shared = shared;
  }

  /** Null = kept. */
  add(chunk: Uint8Array): Failure | null {
    if (this.#bytes + chunk.length > this.#limitBytes) {
      const message = `The answer of the model server is larger than ${this.#limitBytes} bytes.`;
      return { reason: 'too_large', message };
    }
    if (!this.#shared.take(chunk.length)) {
      const message = `All answers being collected are together larger than ${this.#shared.limitBytes} bytes.`;
      return { reason: 'too_large', message };
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    return null;
  }

  /** Everything so far, in one piece; the collector is empty afterwards. */
  take(): Uint8Array {
    const [only] = this.#chunks;
    const whole = this.#chunks.length === 1 && only ? only : concatenated(this.#chunks, this.#bytes);
    this.drop();
    return whole;
  }

  drop(): void {
    this.#shared.giveBack(this.#bytes);
    this.#chunks = [];
    this.#bytes = 0;
  }
}

function concatenated(chunks: readonly Uint8Array[], totalBytes: number): Uint8Array {
  const whole = new Uint8Array(totalBytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
