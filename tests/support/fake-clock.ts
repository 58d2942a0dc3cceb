import type { Clock } from '../../src/core/clock.ts';

interface Sleeper {
  wakeAtMs: number;
  wake: () => void;
}

/** A clock that moves only when told to. `advance` lets woken code run before it returns. */
export class FakeClock implements Clock {
  #nowMs: number;
  #sleepers: Sleeper[] = [];

  constructor(startEpochMs = 1_700_000_000_000) {
    this.#nowMs = startEpochMs;
  }

  epochMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper = { wakeAtMs: this.#nowMs + delayMs, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }

  /** Waits that are pending now. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Time passes while nothing runs, as for a process that stood still. */
  freeze(forMs: number): void {
    this.#nowMs += forMs;
  }

  /** Moves time forward, waking sleepers in order of their wake time and letting each run before the next. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      await settleMicrotasks();
      const next = this.#sleepers.filter((s) => s.wakeAtMs <= untilMs).sort((a, b) => a.wakeAtMs - b.wakeAtMs)[0];
      if (!next) break;
      this.#nowMs = Math.max(this.#nowMs, next.wakeAtMs);
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      next.wake();
    }
    this.#nowMs = untilMs;
    await settleMicrotasks();
  }
}

/** Lets every promise that is already resolved run its continuations. */
export async function settleMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
