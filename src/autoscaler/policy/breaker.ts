/**
 * Stops boots that cannot work from burning GPUs. One for each template, so that a changed command starts afresh.
 *
 * | state  | failures in a row | new boots |
 * | closed | 0                 | as many as wanted |
 * | unsure | 1, 2              | one at a time |
 * | open   | 3 or more         | one at a time, and only after the back-off: 1, 2, 4 … 30 min |
 *
 * A failure that no other try can mend (an image that does not exist) counts as three.
 * One Ready closes it.
 */
export interface Breaker {
  readonly failures: number;
  /** No boot before this (monotonic); null unless open. */
  readonly retryAtMs: number | null;
  /** What the last failed boot said. */
  readonly message: string | null;
}

const OPENS_AT_FAILURES = 3;
export const FIRST_BACKOFF_MS = 60_000;
const LONGEST_BACKOFF_MS = 1_800_000;

export const closedBreaker: Breaker = { failures: 0, retryAtMs: null, message: null };

export function bootFailed(breaker: Breaker, message: string, nowMs: number, permanent = false): Breaker {
  const failures = Math.max(permanent ? OPENS_AT_FAILURES : 0, breaker.failures + 1);
  if (failures < OPENS_AT_FAILURES) return { failures, retryAtMs: null, message };
  const backoffMs = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - OPENS_AT_FAILURES));
  return { failures, retryAtMs: nowMs + backoffMs, message };
}

export function isOpen(breaker: Breaker): boolean {
  return breaker.failures >= OPENS_AT_FAILURES;
}

/** Boots this breaker allows at once now: 0, 1 (a probe), or no limit. */
export function allowedBoots(breaker: Breaker, nowMs: number): number {
  if (breaker.retryAtMs !== null && nowMs < breaker.retryAtMs) return 0;
  return breaker.failures === 0 ? Number.POSITIVE_INFINITY : 1;
}
