import type { PilotlightError } from '../../core/errors.ts';
import type { Entry } from '../../core/live-order.ts';
import type { Outcome, OutcomeKind } from '../../core/outcome.ts';
import { cancelled, drained, expiredInQueue, heldTooLong, leaseLost, rejection } from './call-errors.ts';

/** Why a call was ended from outside the attempt. */
export type StopReason = 'client' | 'draining' | 'max_hold' | 'lease_lost';

export type Unserved =
  | { readonly kind: 'rejected'; readonly error: PilotlightError }
  | { readonly kind: 'handed_back'; readonly reason: string }
  | { readonly kind: 'superseded'; readonly outcome: Outcome | null }
  | { readonly kind: 'ended'; readonly error: PilotlightError; readonly outcome: OutcomeKind };

export interface UnservedCall {
  readonly stored: boolean;
  readonly stop: StopReason | null;
  readonly retryAfterMs: number;
}

/** How a call ends that got no slot. Stored work that nobody ended goes back to the backlog. */
export function unserved(entry: Exclude<Entry, { kind: 'run' }>, call: UnservedCall): Unserved {
  switch (entry.kind) {
    case 'rejected':
      return { kind: 'rejected', error: rejection(entry, call.retryAfterMs) };
    case 'done':
      return { kind: 'superseded', outcome: entry.outcome };
    case 'live':
      if (call.stored) return { kind: 'superseded', outcome: null };
      return { kind: 'ended', error: leaseLost(call.retryAfterMs), outcome: 'failed' };
    case 'evicted':
      return stopped(call) ?? evicted(entry.reason, call);
  }
}

function stopped({ stop, stored, retryAfterMs }: UnservedCall): Unserved | null {
  switch (stop) {
    case 'client':
      return { kind: 'ended', error: cancelled(), outcome: 'cancelled' };
    case 'max_hold':
      return { kind: 'ended', error: heldTooLong(retryAfterMs), outcome: 'failed' };
    case 'draining':
      if (stored) return { kind: 'handed_back', reason: 'draining' };
      return { kind: 'ended', error: drained(), outcome: 'failed' };
    case 'lease_lost':
    case null:
      return null;
  }
}

function evicted(reason: Extract<Entry, { kind: 'evicted' }>['reason'], call: UnservedCall): Unserved {
  if (reason === 'expired') return { kind: 'ended', error: expiredInQueue(call.retryAfterMs), outcome: 'expired' };
  if (call.stored) return { kind: 'handed_back', reason };
  return { kind: 'ended', error: leaseLost(call.retryAfterMs), outcome: 'failed' };
}
