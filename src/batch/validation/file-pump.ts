import type { ToThread } from './ports.ts';

export const PUMP_BUFFER_BYTES = 262_144;
/** So much of the file is on its way to the thread: 2 MiB. */
const BUFFERS = 8;

/** Sends a file to the thread in buffers that come back and are used again, so that memory stays flat. */
export class FilePump {
  readonly #post: (message: ToThread, transfer: readonly ArrayBuffer[]) => void;
  readonly #free: ArrayBuffer[] = [];
  #made = 0;
  #filled: Uint8Array<ArrayBuffer> | null = null;
  #filledBytes = 0;
  #wake: () => void = () => undefined;

  constructor(post: (message: ToThread, transfer: readonly ArrayBuffer[]) => void) {
    this.#post = post;
  }

  /** Resolves with the number of bytes once all is sent. Throws what the source throws, and the signal's reason. */
  async run(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake, { once: true });
    try {
      let sentBytes = 0;
      for await (const chunk of source) {
        sentBytes += chunk.length;
        await this.#send(chunk, signal);
      }
      if (this.#filledBytes > 0) this.#flush();
      this.#post({ kind: 'end' }, []);
      return sentBytes;
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  /** The thread has read this buffer. */
  giveBack(buffer: ArrayBuffer): void {
    this.#free.push(buffer);
    this.#wake();
  }

  async #send(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    let from = 0;
    while (from < chunk.length) {
      this.#filled ??= new Uint8Array(await this.#buffer(signal));
      const piece = chunk.subarray(from, from + this.#filled.length - this.#filledBytes);
      this.#filled.set(piece, this.#filledBytes);
      this.#filledBytes += piece.length;
      from += piece.length;
      if (this.#filledBytes === this.#filled.length) this.#flush();
    }
  }

  #flush(): void {
    if (!this.#filled) return;
    const { buffer } = this.#filled;
    this.#post({ kind: 'chunk', buffer, bytes: this.#filledBytes }, [buffer]);
    this.#filled = null;
    this.#filledBytes = 0;
  }

  async #buffer(signal: AbortSignal): Promise<ArrayBuffer> {
    for (;;) {
      signal.throwIfAborted();
      const free = this.#free.pop();
      if (free) return free;
      if (this.#made < BUFFERS) {
        this.#made += 1;
        return new ArrayBuffer(PUMP_BUFFER_BYTES);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
