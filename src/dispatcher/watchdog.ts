import type { Clock } from '../core/clock.ts';

/** Something with deadlines of its own. */
export interface Watched {
  /** Called every sweep; compares its deadlines with `nowMs` (monotonic) and acts. Must not throw. */
  sweep(nowMs: number): void;
}

/** How late a timeout may be noticed. One timer in all instead of three a call. */
const SWEEP_EVERY_MS = 50;

/** One coarse timer for the deadlines of all calls. Runs only while something is watched; holds no timer when idle. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #watched = new Set<Watched>();
  readonly #closing = new AbortController();
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  watch(item: Watched): void {
    this.#watched.add(item);
    if (this.#running || this.#closing.signal.aborted) return;
    this.#running = true;
    void this.#run();
  }

  unwatch(item: Watched): void {
    this.#watched.delete(item);
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    try {
      while (this.#watched.size > 0) {
        await this.#clock.sleep(SWEEP_EVERY_MS, this.#closing.signal);
        const nowMs = this.#clock.monotonicMs();
        for (const item of this.#watched) item.sweep(nowMs);
      }
    } catch {
      // Only `close` ends the sleep early; what is still watched then is ended by its own caller.
    } finally {
      this.#running = false;
    }
  }
}
