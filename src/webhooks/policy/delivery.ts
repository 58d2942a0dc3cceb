import type { Notice, WebhookDelivery } from '../../core/notices.ts';
import { nextAttemptAt } from './retry-schedule.ts';

/**
 * One notice on its way to one endpoint. A *round* is one run through the schedule of attempts: the first begins with
 * the delivery, each redelivery begins another.
 */
export interface DeliveryRecord extends WebhookDelivery {
  readonly createdAtEpochMs: number;
  /** From 0. */
  readonly round: number;
  readonly roundAttempts: number;
  readonly roundStartedAtEpochMs: number;
}

export type AttemptResult =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: 'timeout' }
  /** `why` is a short code like "ECONNREFUSED". */
  | { readonly kind: 'unreachable'; readonly why: string }
  /** Nothing was sent: the target may not be called. */
  | { readonly kind: 'refused'; readonly why: string };

export type AttemptClass = '2xx' | '3xx' | '4xx' | '5xx' | 'timeout' | 'unreachable' | 'refused';

export function newDelivery(id: string, endpointId: string, notice: Notice, nowEpochMs: number): DeliveryRecord {
  return {
    id,
    endpointId,
    notice,
    status: 'pending',
    attempts: 0,
    lastAttemptAtEpochMs: null,
    nextAttemptAtEpochMs: nowEpochMs,
    lastResult: null,
    createdAtEpochMs: nowEpochMs,
    round: 0,
    roundAttempts: 0,
    roundStartedAtEpochMs: nowEpochMs,
  };
}

/** From the start again, whatever became of it. */
export function nextRound(record: DeliveryRecord, nowEpochMs: number): DeliveryRecord {
  return {
    ...record,
    status: 'pending',
    nextAttemptAtEpochMs: nowEpochMs,
    round: record.round + 1,
    roundAttempts: 0,
    roundStartedAtEpochMs: nowEpochMs,
  };
}

export interface Attempt {
  readonly startedAtEpochMs: number;
  readonly endedAtEpochMs: number;
  readonly result: AttemptResult;
  readonly giveUpAfterMs: number;
  /** In [0, 1). */
  readonly chance: number;
}

/** Only a 2xx is a delivery; a 410 says that nobody will ever want one. */
export function afterAttempt(record: DeliveryRecord, attempt: Attempt): DeliveryRecord {
  const { result, startedAtEpochMs, endedAtEpochMs } = attempt;
  const tried: DeliveryRecord = {
    ...record,
    attempts: record.attempts + 1,
    roundAttempts: record.roundAttempts + 1,
    lastAttemptAtEpochMs: startedAtEpochMs,
    nextAttemptAtEpochMs: null,
    lastResult: resultText(result),
  };
  if (isDelivered(result)) return { ...tried, status: 'delivered' };
  if (isGone(result)) return { ...tried, status: 'failed' };
  const nextAttemptAtEpochMs = nextAttemptAt({
    attempts: tried.roundAttempts,
    roundStartedAtEpochMs: record.roundStartedAtEpochMs,
    nowEpochMs: endedAtEpochMs,
    retryAfterMs: result.kind === 'answered' ? result.retryAfterMs : null,
    giveUpAfterMs: attempt.giveUpAfterMs,
    chance: attempt.chance,
  });
  return nextAttemptAtEpochMs === null ? { ...tried, status: 'failed' } : { ...tried, nextAttemptAtEpochMs };
}

/** Nobody to deliver it to any more. */
export function abandoned(record: DeliveryRecord, why: string): DeliveryRecord {
  return { ...record, status: 'failed', nextAttemptAtEpochMs: null, lastResult: why };
}

export function isDelivered(result: AttemptResult): boolean {
  return result.kind === 'answered' && result.status >= 200 && result.status < 300;
}

/** The receiver wants no more of it, ever. */
export function isGone(result: AttemptResult): boolean {
  return result.kind === 'answered' && result.status === 410;
}

/** Statuses of a receiver that is overloaded or away, as the Standard Webhooks specification lists them, and 503. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Nothing more should be sent there for a while, whatever it is. */
export function isAway(result: AttemptResult): boolean {
  return result.kind === 'answered' ? BUSY.has(result.status) : result.kind !== 'refused';
}

export function attemptClass(result: AttemptResult): AttemptClass {
  if (result.kind !== 'answered') return result.kind;
  if (result.status >= 500) return '5xx';
  if (result.status >= 400) return '4xx';
  return result.status >= 300 || result.status < 200 ? '3xx' : '2xx';
}

function resultText(result: AttemptResult): string {
  switch (result.kind) {
    case 'answered': {
      const isRedirect = result.status >= 300 && result.status < 400;
      return isRedirect ? `HTTP ${result.status} (redirects are not followed)` : `HTTP ${result.status}`;
    }
    case 'timeout':
      return 'no answer in time';
    case 'unreachable':
      return `not reachable: ${result.why}`;
    case 'refused':
      return `not sent: the URL ${result.why}`;
  }
}

/** As its owner may see it. */
export function shownDelivery(record: DeliveryRecord): WebhookDelivery {
  const { id, endpointId, notice, status, attempts } = record;
  const { lastAttemptAtEpochMs, nextAttemptAtEpochMs, lastResult } = record;
  return { id, endpointId, notice, status, attempts, lastAttemptAtEpochMs, nextAttemptAtEpochMs, lastResult };
}
