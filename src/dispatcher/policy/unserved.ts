import type { PilotlightError } from '../../core/errors.ts';
import type { Entry, EvictReason } from '../../core/live-order.ts';
import type { Outcome, OutcomeKind } from '../../core/outcome.ts';
import {
  cancelled,
  deadlinePassed,
  displaced,
  drained,
  expiredInQueue,
  heldTooLong,
  leaseLost,
  type RefusalFacts,
  rejection,
} from './call-errors.ts';

/** Why a call was ended from outside the attempt. */
export type StopReason = 'client' | 'draining' | 'max_hold' | 'lease_lost';

export type Unserved =
  | { readonly kind: 'rejected'; readonly error: PilotlightError }
  | { readonly kind: 'handed_back'; readonly reason: string }
  | { readonly kind: 'superseded'; readonly outcome: Outcome | null }
  | { readonly kind: 'ended'; readonly error: PilotlightError; readonly outcome: OutcomeKind };

export interface UnservedCall extends RefusalFacts {
  readonly stored: boolean;
  readonly stop: StopReason | null;
}

/** How a call ends that got no slot. Stored work that nobody ended goes back to the backlog. */
export function unserved(entry: Exclude<Entry, { kind: 'run' }>, call: UnservedCall): Unserved {
  switch (entry.kind) {
    case 'rejected':
      return { kind: 'rejected', error: rejection(entry, call) };
    case 'done':
      return { kind: 'superseded', outcome: entry.outcome };
    case 'live':
      if (call.stored) return { kind: 'superseded', outcome: null };
      return { kind: 'ended', error: leaseLost('evicted', call.retryAfterMs), outcome: 'failed' };
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
      return { kind: 'ended', error: drained('evicted'), outcome: 'failed' };
    case 'lease_lost':
    case null:
      return null;
  }
}

function evicted(reason: EvictReason, call: UnservedCall): Unserved {
  if (reason === 'expired') {
    const error = call.stored ? deadlinePassed() : expiredInQueue(call);
    return { kind: 'ended', error, outcome: 'expired' };
  }
  if (call.stored) return { kind: 'handed_back', reason };
  const error = reason === 'displaced' ? displaced(call.retryAfterMs) : leaseLost('evicted', call.retryAfterMs);
  return { kind: 'ended', error, outcome: 'failed' };
}
