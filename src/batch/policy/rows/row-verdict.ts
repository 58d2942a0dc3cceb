import type { ErrorCode } from '../../../core/errors.ts';

/** How one run of a row through the dispatcher ended. */
export type RowEnding =
  | { readonly kind: 'answered'; readonly httpStatus: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly retryAfterMs: number | null };

export interface RowFacts {
  /** Runs that ended, this one included. */
  readonly attempts: number;
  readonly maxAttempts: number;
  /** Times that an engine or its connection broke while it ran this row, this one included. */
  readonly crashes: number;
  /** Nothing else ran here meanwhile: the row alone is to blame. */
  readonly ranAlone: boolean;
  readonly nowEpochMs: number;
  readonly deadlineEpochMs: number;
  /** A draw in [0, 1). */
  readonly jitter: number;
}

export type RowVerdict =
  /** Its answer is its end. */
  | { readonly kind: 'end'; readonly state: 'completed' | 'failed' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly alone: boolean }
  | { readonly kind: 'quarantine' }
  /** No time is left for another try: the batch's expiry ends it. */
  | { readonly kind: 'leave' };

/** An engine that broke so often while it ran this row is suspected to break because of it. */
export const SUSPECT_CRASHES = 3;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;
const MAX_DOUBLINGS = 6;

/** Refusals that may pass: the dispatcher retries the others of this kind as failures. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** The engine, or the connection to it, broke in the middle. */
const CRASH_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_aborted',
  'upstream_idle_timeout',
  'upstream_timeout',
]);

const RETRYABLE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...CRASH_CODES,
  'upstream_unreachable',
  'upstream_error',
  'attempts_exhausted',
  'lease_lost',
]);

export function isCrash(ending: RowEnding): boolean {
  return ending.kind === 'failed' && CRASH_CODES.has(ending.code);
}

/**
 * What becomes of a row after a run.
 *
 * | ending                                              | verdict                                         |
 * | --------------------------------------------------- | ----------------------------------------------- |
 * | answered 2xx                                        | ends, completed                                 |
 * | answered 408, 409, 425, 429 or 5xx                  | retry while attempts last, then ends, failed    |
 * | any other answer (4xx)                              | ends, failed                                    |
 * | engine unreachable, broken, too slow, or erring     | retry while attempts last, then ends, failed    |
 * | engine broke, for the third time                    | retry alone, then quarantine                    |
 * | any other failure (answer too large, …)             | ends, failed                                    |
 *
 * A retry that would begin after the deadline is left to the batch's expiry.
 */
export function judgeRow(ending: RowEnding, facts: RowFacts): RowVerdict {
  if (ending.kind === 'answered') {
    if (ending.httpStatus < 300) return { kind: 'end', state: 'completed' };
    const mayPass = RETRYABLE_STATUSES.has(ending.httpStatus) || ending.httpStatus >= 500;
    return mayPass ? again(facts, null) : { kind: 'end', state: 'failed' };
  }
  if (!RETRYABLE_CODES.has(ending.code)) return { kind: 'end', state: 'failed' };
  const isSuspect = isCrash(ending) && facts.crashes >= SUSPECT_CRASHES;
  if (isSuspect && facts.ranAlone) return { kind: 'quarantine' };
  return again(facts, ending.retryAfterMs, isSuspect);
}

function again(facts: RowFacts, retryAfterMs: number | null, alone = false): RowVerdict {
  if (facts.attempts >= facts.maxAttempts) return { kind: 'end', state: 'failed' };
  const delayMs = retryAfterMs ?? backoffMs(facts.attempts, facts.jitter);
  return facts.nowEpochMs + delayMs >= facts.deadlineEpochMs ? { kind: 'leave' } : { kind: 'retry', delayMs, alone };
}

/** Equal jitter: half of 1 s, 2 s, 4 s … 60 s is certain, half is drawn. */
function backoffMs(attempts: number, jitter: number): number {
  const ceilingMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempts - 1, MAX_DOUBLINGS));
  return ceilingMs * 0.5 * (1 + jitter);
}
