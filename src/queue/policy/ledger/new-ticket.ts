import { keptExpiry } from './expiry.ts';
import type { AdmitOp, ReassertedTicket } from './ops.ts';
import type { Ticket } from './state.ts';
import type { Turn } from './turn.ts';

/** What a ticket is and stays, from what its owner says of it. */
type TicketFields = Pick<
  Ticket,
  | 'id'
  | 'kind'
  | 'objective'
  | 'priority'
  | 'fairnessId'
  | 'weight'
  | 'maxConcurrency'
  | 'classKey'
  | 'bytes'
  | 'costTokens'
  | 'expiresAtMs'
  | 'deadlineMs'
>;

function ticketFields(turn: Turn, op: AdmitOp | ReassertedTicket): TicketFields {
  const { id, kind, objective, priority, classKey, bytes, costTokens } = op;
  const { fairnessId = '', weight = 1, maxConcurrency = 0, deadlineMs = 0, expiryStops = false } = op;
  const expiresAtMs = keptExpiry(turn, op.expiresAtMs, expiryStops);
  return {
    ...{ id, kind, objective, priority, fairnessId, weight, maxConcurrency, classKey, bytes, costTokens, expiresAtMs },
    // A TTL that can stand still is no deadline.
    deadlineMs: deadlineMs > 0 ? deadlineMs : Math.max(0, expiresAtMs),
  };
}

/** A ticket that has no slot and no place yet. */
export function newTicket(
  turn: Turn,
  op: AdmitOp | ReassertedTicket,
  from: Pick<Ticket, 'tag' | 'queuedAtMs' | 'owner' | 'endpointId' | 'excluded' | 'attempt' | 'sinceMs'>,
): Ticket {
  return {
    ...ticketFields(turn, op),
    ...from,
    band: op.priority,
    lane: '',
    isOverflow: false,
    chargedTokens: 0,
    state: 'waiting',
    token: 0,
  };
}
