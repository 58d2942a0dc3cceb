interface Waiter {
  readonly alone: boolean;
  readonly admit: () => void;
}

/**
 * How many rows of one objective this process has in the live order or in a slot, over all chunks it holds. Places are
 * given in the order in which they were asked for. A row that has to run alone gets its place when no other has one.
 */
export class RowWindow {
  #size = 0;
  #held = 0;
  #isAlone = false;
  /** At most one for each chunk that is held. */
  readonly #waiters: Waiter[] = [];

  get size(): number {
    return this.#size;
  }

  get held(): number {
    return this.#held;
  }

  /** 0 = nothing more is let in. Who is in stays. */
  setSize(size: number): void {
    this.#size = size;
    this.#admit();
  }

  /** Resolves with the way to give the place back (once; later calls do nothing). Rejects with the signal's reason. */
  async enter(signal: AbortSignal, alone = false): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#waiters.length > 0 || !this.#hasRoom(alone)) await this.#wait(signal, alone);
    else this.#take(alone);
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      this.#held -= 1;
      if (alone) this.#isAlone = false;
      this.#admit();
    };
  }

  #wait(signal: AbortSignal, alone: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal.reason as Error);
        this.#admit();
      };
      const waiter: Waiter = {
        alone,
        admit: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  #hasRoom(alone: boolean): boolean {
    if (this.#isAlone) return false;
    return alone ? this.#held === 0 && this.#size > 0 : this.#held < this.#size;
  }

  #take(alone: boolean): void {
    this.#held += 1;
    this.#isAlone = alone;
  }

  #admit(): void {
    for (;;) {
      const [waiter] = this.#waiters;
      if (!waiter || !this.#hasRoom(waiter.alone)) return;
      this.#waiters.shift();
      this.#take(waiter.alone);
      waiter.admit();
    }
  }
}
