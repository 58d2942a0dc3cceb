import type { DispatchResult, DispatchTimes } from '../../core/dispatch.ts';
import { PilotlightError, type ErrorCode } from '../../core/errors.ts';
import type { EvictReason, RejectReason } from '../../core/live-order.ts';
import type { Outcome, OutcomeKind } from '../../core/outcome.ts';

/** Why a call was ended from outside the attempt. */
export type StopReason = 'client' | 'draining' | 'max_hold' | 'lease_lost';

const REJECT_CODES = {
  queue_full: 'queue_full',
  queue_shed: 'queue_shed',
  paused: 'no_capacity',
} as const satisfies Record<RejectReason, ErrorCode>;

/** The refusal in the caller's words: which limit, how full, when to come back. */
export function rejection(
  reason: RejectReason,
  limit: string,
  usedPercent: number,
  retryAfterMs: number,
): PilotlightError {
  const code = REJECT_CODES[reason];
  const used = `${limit} is used to ${Math.round(usedPercent)} percent`;
  const messages = {
    queue_full: `The queue is full: ${used}. Try again later, or raise ${limit}.`,
    queue_shed: `The queue takes no more work of this priority: ${used}. Try again later, or use a higher objective.`,
    paused: 'The pool is paused by its ScalePolicy. Try again once it is resumed.',
  } as const;
  return new PilotlightError(code, messages[reason], { retryAfterMs });
}

export interface EndedEarly {
  readonly error: PilotlightError;
  readonly outcome: OutcomeKind;
}

/** How a call ends that left the queue without an answer. */
export function eviction(reason: EvictReason, stop: StopReason | null, retryAfterMs: number): EndedEarly {
  if (stop === 'client') return { error: cancelled(), outcome: 'cancelled' };
  if (stop === 'draining') return { error: drained(), outcome: 'failed' };
  if (stop === 'max_hold') return { error: heldTooLong(retryAfterMs), outcome: 'failed' };
  if (reason === 'expired') {
    const text = 'The request waited longer than its objective allows. Try again later, or send it as a job.';
    return { error: new PilotlightError('queue_ttl_exceeded', text, { retryAfterMs }), outcome: 'expired' };
  }
  return { error: leaseLost(retryAfterMs), outcome: 'failed' };
}

export function cancelled(): PilotlightError {
  return new PilotlightError('request_cancelled', 'The caller closed the connection or cancelled the request.');
}

export function drained(): PilotlightError {
  return new PilotlightError('draining', 'This gateway is shutting down. Send the request again.');
}

export function leaseLost(retryAfterMs: number): PilotlightError {
  const text = 'The queue lost track of this request while it ran, so it was stopped. Send it again.';
  return new PilotlightError('lease_lost', text, { retryAfterMs });
}

function heldTooLong(retryAfterMs: number): PilotlightError {
  const text =
    'No model server had room within the longest time a connection is held. Try again later, or send the request to /v1/jobs.';
  return new PilotlightError('max_hold_exceeded', text, { retryAfterMs });
}

export interface FailedInput {
  readonly error: PilotlightError;
  readonly kind: OutcomeKind;
  readonly begun: boolean;
  readonly attempts: number;
  readonly times: DispatchTimes;
}

export function failedResult(input: FailedInput): Extract<DispatchResult, { kind: 'failed' }> {
  const { error, kind, begun, attempts, times } = input;
  const outcome: Outcome = { kind, httpStatus: error.httpStatus, code: error.code, attempts, usage: null };
  return { kind: 'failed', error, begun, outcome, times };
}
