import type { Clock } from '../core/clock.ts';
import type { DispatchTimes } from '../core/dispatch.ts';

/** How long one call waits, and when its first byte comes. Starts with its construction. */
export class CallTimer {
  readonly #clock: Clock;
  readonly #startedMs: number;
  #waitingSinceMs: number | null = null;
  #waitedMs = 0;
  #firstWaitMs: number | null = null;
  #firstByteMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  get isWaiting(): boolean {
    return this.#waitingSinceMs !== null;
  }

  startWait(): void {
    this.#waitingSinceMs = this.#clock.monotonicMs();
  }

  endWait(): void {
    this.#waitedMs = this.waitedMs(this.#clock.monotonicMs());
    this.#waitingSinceMs = null;
  }

  /** Of all waits so far, the present one included. */
  waitedMs(nowMs: number): number {
    return this.#waitedMs + (this.#waitingSinceMs === null ? 0 : nowMs - this.#waitingSinceMs);
  }

  gotSlot(): void {
    this.#firstWaitMs ??= this.#waitedMs;
  }

  firstByte(): void {
    this.#firstByteMs = this.#clock.monotonicMs() - this.#startedMs;
  }

  times(): DispatchTimes {
    const totalMs = this.#clock.monotonicMs() - this.#startedMs;
    return { waitedMs: this.#firstWaitMs ?? this.#waitedMs, firstByteMs: this.#firstByteMs, totalMs };
  }
}
