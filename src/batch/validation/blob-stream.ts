import type { BlobStore } from '../../core/blobs.ts';

/** A blob that is written piece by piece: each write waits until the store has taken the one before. */
export class BlobStream {
  readonly #put: Promise<unknown>;
  #piece: Uint8Array | null = null;
  #state: 'open' | 'ended' | 'cancelled' = 'open';
  /** The store that waits for a piece, or the writer that waits for room. */
  #waiting: (() => void)[] = [];
  #failure: { readonly error: unknown } | null = null;

  constructor(store: Pick<BlobStore, 'put'>, key: string, signal: AbortSignal) {
    this.#put = store.put(key, this.#pieces(), { signal }).catch((error: unknown) => {
      this.#failure = { error };
      this.#wake();
    });
  }

  /** Throws what the store threw. */
  async write(piece: Uint8Array): Promise<void> {
    await this.#taken();
    this.#piece = piece;
    this.#wake();
  }

  /** Resolves once the blob is stored. */
  async end(): Promise<void> {
    await this.#taken();
    this.#state = 'ended';
    this.#wake();
    await this.#put;
    if (this.#failure) throw this.#failure.error;
  }

  /** Nothing of it remains, unless it has ended. */
  async cancel(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'cancelled';
    this.#wake();
    await this.#put;
  }

  async #taken(): Promise<void> {
    while (this.#piece !== null && this.#failure === null) await this.#woken();
    if (this.#failure) throw this.#failure.error;
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      while (this.#piece === null && this.#state === 'open') await this.#woken();
      if (this.#state === 'cancelled') throw new Error('this blob is not wanted any more');
      const piece = this.#piece;
      if (piece === null) return;
      this.#piece = null;
      this.#wake();
      yield piece;
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const woken = this.#waiting;
    this.#waiting = [];
    for (const wake of woken) wake();
  }
}
