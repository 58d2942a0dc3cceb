/** When to scrape an endpoint again. */
export interface PollIntervals {
  /** While nothing of ours runs there. */
  readonly idleMs: number;
  /** While something does: the engine's queue changes with every token. */
  readonly busyMs: number;
  /** Ceiling of the pause after failures. */
  readonly maxFailureMs: number;
}

export const DEFAULT_POLL_INTERVALS: PollIntervals = { idleMs: 1_000, busyMs: 200, maxFailureMs: 5_000 };

/**
 * Milliseconds from one scrape to the next: the interval ± 10 %, so that many endpoints do not beat in step; doubled
 * with each failure in a row. `draw` is in [0, 1). At least one millisecond.
 */
export function nextPollMs(intervals: PollIntervals, busy: boolean, failures: number, draw: number): number {
  const baseMs = busy ? intervals.busyMs : intervals.idleMs;
  const ceilingMs = Math.max(baseMs, intervals.maxFailureMs);
  const pauseMs = Math.min(ceilingMs, baseMs * 2 ** Math.min(failures, 16));
  return Math.max(1, pauseMs * (0.9 + 0.2 * draw));
}
