import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/platform/clock.ts';

/** The machine's time, passing `factor` times as fast for whoever waits: deadlines of minutes are met in seconds. */
export function fastClock(factor: number): Clock {
  return {
    epochMs: () => systemClock.epochMs(),
    monotonicMs: () => systemClock.monotonicMs() * factor,
    sleep: (delayMs, signal) => systemClock.sleep(delayMs / factor, signal),
  };
}
