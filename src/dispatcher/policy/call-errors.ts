import { type ErrorCode, PilotlightError } from '../../core/errors.ts';
import { FlowError, type FlowOutcomeName } from '../../core/flow-outcomes.ts';
import type { RejectReason } from '../../core/live-order.ts';
import type { Failure } from './failure.ts';

/** Another replica takes the next try, so it need not wait for this pool's queue. */
const ELSEWHERE_RETRY_AFTER_MS = 1_000;

export interface Refused {
  readonly reason: RejectReason;
  /** Name of the limit that was met. */
  readonly limit: string;
  readonly usedPercent: number;
}

export interface RefusalFacts {
  readonly retryAfterMs: number;
  /** A model server of the pool is ready. */
  readonly isServing: boolean;
}

/** The refusal in the caller's words: which limit, how full, when to come back. */
export function rejection(refused: Refused, { retryAfterMs, isServing }: RefusalFacts): FlowError {
  const { reason, limit, usedPercent } = refused;
  const used = `${limit} is used to ${Math.round(usedPercent)} percent`;
  const flow = rejectedBy(refused, isServing);
  const asleep = flow === 'rejected_no_endpoints' ? ' No model server is ready yet.' : '';
  const messages = {
    queue_full: `The queue is full: ${used}.${asleep} Try again later, or raise ${limit}.`,
    queue_shed: `The queue takes no more work of this priority: ${used}.${asleep} Try again later, or use a higher objective.`,
    paused: 'The pool is paused by its ScalePolicy. Try again once it is resumed.',
  } as const;
  return new FlowError(flow, messages[reason], { retryAfterMs });
}

/** A full queue of a pool that serves is busy; of one that does not, it is no capacity. A tenant's own limit is neither. */
function rejectedBy({ reason, limit }: Refused, isServing: boolean): FlowOutcomeName {
  if (reason === 'paused') return 'rejected_paused';
  if (limit.startsWith('tenant')) return 'rejected_tenant_full';
  if (!isServing) return 'rejected_no_endpoints';
  if (reason === 'queue_shed') return 'rejected_shed';
  return limit.startsWith('objective') ? 'rejected_objective_full' : 'rejected_pool_full';
}

export function noCapacity(why: string, retryAfterMs: number): FlowError {
  return new FlowError('rejected_no_capacity', why, { retryAfterMs });
}

export function cancelled(): FlowError {
  return new FlowError('evicted_cancelled', 'The caller closed the connection or cancelled the request.');
}

/** `revoked`: it had a slot. */
export function drained(stage: 'evicted' | 'revoked'): FlowError {
  const text = 'This gateway is shutting down. Send the request again.';
  return new FlowError(`${stage}_draining`, text, { retryAfterMs: ELSEWHERE_RETRY_AFTER_MS });
}

/** `revoked`: it had a slot. */
export function leaseLost(stage: 'evicted' | 'revoked', retryAfterMs: number): FlowError {
  const text = 'The queue lost track of this request, so it was stopped. Send it again.';
  return new FlowError(`${stage}_lost`, text, { retryAfterMs });
}

export function heldTooLong(retryAfterMs: number): FlowError {
  const text =
    'No model server had room within the longest time a connection is held. Try again later, or send the request to /v1/jobs.';
  return new FlowError('evicted_max_hold', text, { retryAfterMs });
}

export function expiredInQueue({ retryAfterMs, isServing }: RefusalFacts): FlowError {
  if (isServing) {
    const text = 'The request waited as long as it may. Try again later, or send it as a job.';
    return new FlowError('evicted_ttl', text, { retryAfterMs });
  }
  const text =
    'The request waited as long as it may, and no model server is ready yet. Try again later, or send it as a job.';
  return new FlowError('evicted_ttl_no_capacity', text, { retryAfterMs });
}

export function deadlinePassed(): FlowError {
  return new FlowError('evicted_deadline', 'The deadline of the request passed before its turn came.');
}

export function displaced(retryAfterMs: number): FlowError {
  const text =
    'The queue is full and this request gave way to work of a higher objective. Try again later, or send it as a job.';
  return new FlowError('evicted_displaced', text, { retryAfterMs });
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
