import type { AdmitOp, ReassertedTicket } from './ops.ts';
import type { Ticket } from './state.ts';

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

function ticketFields(op: AdmitOp | ReassertedTicket): TicketFields {
  const { id, kind, objective, priority, classKey, bytes, costTokens, expiresAtMs } = op;
  const { fairnessId = '', weight = 1, maxConcurrency = 0, deadlineMs = 0 } = op;
  return {
    ...{ id, kind, objective, priority, fairnessId, weight, maxConcurrency, classKey, bytes, costTokens, expiresAtMs },
    deadlineMs: deadlineMs > 0 ? deadlineMs : expiresAtMs,
  };
}

/** A ticket that has no slot and no place yet. */
export function newTicket(
  op: AdmitOp | ReassertedTicket,
  from: Pick<Ticket, 'tag' | 'queuedAtMs' | 'owner' | 'endpointId' | 'excluded' | 'attempt' | 'sinceMs'>,
): Ticket {
  return {
    ...ticketFields(op),
    ...from,
    band: op.priority,
    lane: '',
    isOverflow: false,
    chargedTokens: 0,
    state: 'waiting',
    token: 0,
  };
}
