import type { ErrorCode } from '../../core/errors.ts';
import { type FailureReason, failureRule } from './failure.ts';

export interface FailedAttempt {
  readonly reason: FailureReason;
  /** Bytes of the answer were forwarded: nothing may be repeated. */
  readonly begun: boolean;
  /** Attempts used so far; 0 when the call could not even be sent. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** The pool has an endpoint that is not draining and was not tried for this call. */
  readonly othersAvailable: boolean;
  /** A draw in [0, 1), spreads the repeats of calls that failed together. */
  readonly jitter: number;
}

export type RetryPlan =
  | {
      readonly kind: 'retry';
      /** Never this endpoint again for this call. */
      readonly exclude: boolean;
      readonly backoffMs: number;
    }
  | { readonly kind: 'fail'; readonly code: ErrorCode };

/** First pause before the only endpoint is tried again; doubles up to MAX_BACKOFF_MS. Chosen above the time in which the
 *  slots loop takes a failed endpoint out (one turn and one Redis round trip), so that the repeat waits for a live one. */
export const BASE_BACKOFF_MS = 250;
export const MAX_BACKOFF_MS = 4_000;

/**
 * Another endpoint at once when there is one. The only endpoint of a pool is not excluded (it would block the call for
 * ever after one reset of an idle connection) but is left alone for a moment: then either the slots loop has closed it,
 * and the repeat waits for a new endpoint without using an attempt, or it works again. Never after the first byte.
 */
export function planRetry(failed: FailedAttempt): RetryPlan {
  const rule = failureRule(failed.reason);
  if (failed.begun || !rule.retry) return { kind: 'fail', code: rule.code };
  if (failed.attempt >= failed.maxAttempts) {
    return { kind: 'fail', code: failed.attempt > 1 ? 'attempts_exhausted' : rule.code };
  }
  if (failed.othersAvailable) return { kind: 'retry', exclude: true, backoffMs: 0 };
  const ceilingMs = Math.min(MAX_BACKOFF_MS, BASE_BACKOFF_MS * 2 ** Math.max(0, failed.attempt - 1));
  return { kind: 'retry', exclude: false, backoffMs: ceilingMs * (1 + failed.jitter) * 0.5 + ceilingMs * 0.5 };
}
