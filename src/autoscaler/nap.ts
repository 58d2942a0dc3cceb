import type { Clock } from '../core/clock.ts';

/** A wait that can be cut short, also by a wake-up that came before it began. */
export class Nap {
  readonly #clock: Clock;
  #current: AbortController | null = null;
  #woken = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#woken = true;
    this.#current?.abort();
  }

  /** Resolves after `delayMs` or at the next `wake`, whichever is first. True = woken. Never rejects. */
  async take(delayMs: number): Promise<boolean> {
    if (!this.#woken && delayMs > 0) {
      this.#current = new AbortController();
      await this.#clock.sleep(delayMs, this.#current.signal).catch(() => undefined);
      this.#current = null;
    }
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }
}
