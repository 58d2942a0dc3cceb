const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/**
 * Waits between attempts, after the example of the Standard Webhooks specification (retry schedule); the last one
 * repeats until time is up.
 */
const WAITS_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** Added at most, as a part of the wait: receivers that came back are not met by everything at once. */
const JITTER = 0.1;
/** A receiver that asks for more is called again after this. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;

export interface FailedAttempt {
  /** Attempts of this round so far, at least 1. */
  readonly attempts: number;
  readonly roundStartedAtEpochMs: number;
  readonly nowEpochMs: number;
  /** Of the receiver's answer; null = it did not say. */
  readonly retryAfterMs: number | null;
  readonly giveUpAfterMs: number;
  /** In [0, 1). */
  readonly chance: number;
}

/** When to try again; null = never. Not before the receiver asked for, and never after the time to give up. */
export function nextAttemptAt(failed: FailedAttempt): number | null {
  const { attempts, roundStartedAtEpochMs, nowEpochMs, retryAfterMs, giveUpAfterMs, chance } = failed;
  const scheduledMs = WAITS_MS[Math.min(attempts, WAITS_MS.length) - 1] ?? 0;
  const waitMs = Math.max(scheduledMs, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
  const atEpochMs = nowEpochMs + Math.round(waitMs * (1 + JITTER * chance));
  return atEpochMs > roundStartedAtEpochMs + giveUpAfterMs ? null : atEpochMs;
}
