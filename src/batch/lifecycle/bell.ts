import type { Clock } from '../../core/clock.ts';

/** A wait that news can end early. A ring while nobody waits is not lost. */
export class Bell {
  readonly #clock: Clock;
  #wake: (() => void) | null = null;
  #rang = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rang = true;
    this.#wake?.();
  }

  /** Resolves after `delayMs`, on a ring, or when the signal aborts. */
  async wait(delayMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#rang && !signal.aborted) {
      const ended = new AbortController();
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#wake = () => resolve(undefined);
      const slept = this.#clock.sleep(delayMs, AbortSignal.any([signal, ended.signal])).catch(() => undefined);
      await Promise.race([promise, slept]);
      this.#wake = null;
      ended.abort();
    }
    this.#rang = false;
  }
}
