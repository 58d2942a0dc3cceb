import type { Clock } from '../../../core/clock.ts';

const WRITES_PER_S = 20;
const BURST_WRITES = 50;

/** Bounds the writes of one process to 20 a second, with bursts of 50. */
export class WriteBudget {
  readonly #clock: Clock;
  #left = BURST_WRITES;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonicMs();
  }

  /** How many of `wanted` writes may be made now; they count as made. */
  take(wanted: number): number {
    const nowMs = this.#clock.monotonicMs();
    this.#left = Math.min(BURST_WRITES, this.#left + ((nowMs - this.#atMs) / 1_000) * WRITES_PER_S);
    this.#atMs = nowMs;
    const granted = Math.min(wanted, Math.floor(this.#left));
    this.#left -= granted;
    return granted;
  }
}
