import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';

/** The machine's own time. */
export const systemClock: Clock = {
  epochMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(delayMs, signal) {
    try {
      await delay(delayMs, undefined, signal ? { signal } : {});
    } catch (error) {
      // Node wraps the reason into an AbortError; the contract is the reason itself.
      signal?.throwIfAborted();
      throw error;
    }
  },
};
