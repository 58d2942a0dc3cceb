import { type ErrorCode, PilotlightError } from '../../core/errors.ts';
import type { RejectReason } from '../../core/live-order.ts';
import type { Failure } from './failure.ts';

const REJECT_CODES = {
  queue_full: 'queue_full',
  queue_shed: 'queue_shed',
  paused: 'no_capacity',
} as const satisfies Record<RejectReason, ErrorCode>;

export interface Refused {
  readonly reason: RejectReason;
  /** Name of the limit that was met. */
  readonly limit: string;
  readonly usedPercent: number;
}

/** The refusal in the caller's words: which limit, how full, when to come back. */
export function rejection({ reason, limit, usedPercent }: Refused, retryAfterMs: number): PilotlightError {
  const used = `${limit} is used to ${Math.round(usedPercent)} percent`;
  const messages = {
    queue_full: `The queue is full: ${used}. Try again later, or raise ${limit}.`,
    queue_shed: `The queue takes no more work of this priority: ${used}. Try again later, or use a higher objective.`,
    paused: 'The pool is paused by its ScalePolicy. Try again once it is resumed.',
  } as const;
  return new PilotlightError(REJECT_CODES[reason], messages[reason], { retryAfterMs });
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

export function heldTooLong(retryAfterMs: number): PilotlightError {
  const text =
    'No model server had room within the longest time a connection is held. Try again later, or send the request to /v1/jobs.';
  return new PilotlightError('max_hold_exceeded', text, { retryAfterMs });
}

export function expiredInQueue(retryAfterMs: number): PilotlightError {
  const text = 'The request waited longer than its objective allows. Try again later, or send it as a job.';
  return new PilotlightError('queue_ttl_exceeded', text, { retryAfterMs });
}

/** What the last of `attempts` attempts ended with. */
export function attemptError(
  failure: Failure,
  code: ErrorCode,
  attempts: number,
  retryAfterMs: number,
): PilotlightError {
  if (code !== 'attempts_exhausted') return new PilotlightError(code, failure.message);
  const message = `The call failed on ${attempts} model servers, the last time so: ${failure.message}`;
  return new PilotlightError(code, message, { retryAfterMs });
}
