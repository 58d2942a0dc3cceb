import { assign } from './assign.ts';
import { unlistedEndpoint } from './endpoints.ts';
import { hasReasserted } from './membership.ts';
import { newTicket } from './new-ticket.ts';
import type { ReassertedTicket, ReassertOp, ReassertReply } from './ops.ts';
import { outcomeOf } from './outcome-of.ts';
import { unquarantine } from './quarantine.ts';
import { endpointOf } from './slots.ts';
import { bookOf, type Ticket } from './state.ts';
import { addTicket, endTicket, evict, giveSlot, ownTicket, refund, takeSlot } from './tickets.ts';
import { nextStamp, stampText, type Turn } from './turn.ts';
import { enqueue } from './waiting.ts';

type Answer = ReassertReply['tickets'][number];

/**
 * The owner's word replaces what the ledger had of it: its tickets are put back as it names them, old places kept, and
 * with the last chunk those it did not name are dropped. Against another owner's ticket of the same id, work that has
 * begun beats work that waits. Slots are held even if that over-fills an endpoint.
 */
export function reassert(turn: Turn, op: ReassertOp): ReassertReply {
  const { state, owner } = turn;
  if (op.first) state.unconfirmed.set(owner, new Set(state.ownerTickets.get(owner) ?? []));
  const unconfirmed = state.unconfirmed.get(owner) ?? new Set<string>();
  const tickets = op.tickets.map((ticket) => {
    unconfirmed.delete(ticket.id);
    return putBack(turn, ticket);
  });
  if (op.last) {
    for (const id of unconfirmed) {
      const ticket = ownTicket(turn, id);
      if (ticket !== undefined) endTicket(turn, ticket);
    }
    state.unconfirmed.delete(owner);
    hasReasserted(turn);
  }
  assign(turn);
  return { kind: 'reasserted', tickets };
}

function putBack(turn: Turn, claim: ReassertedTicket): Answer {
  const existing = turn.state.tickets.get(claim.id);
  const isDone = claim.kind === 'stored' && outcomeOf(turn, claim.id) !== undefined;
  if (existing?.owner === turn.owner) giveWay(turn, existing, isDone ? 'recording' : claim.state);
  else if (existing !== undefined && !isDone) {
    const hasBegun = existing.state === 'running' || existing.state === 'recording';
    if (hasBegun || claim.state === 'waiting') return { state: 'lost', token: '', tag: '' };
    evict(turn, existing, 'lost');
  }
  if (isDone) return { state: 'done', token: '', tag: '' };
  const ticket = ticketOf(turn, claim);
  if (existing?.owner === turn.owner && claim.state !== 'waiting') keepGrant(ticket, existing);
  bookOf(turn.state, ticket.objective).priority = ticket.priority;
  addTicket(turn, ticket);
  place(turn, ticket, claim.state);
  return { state: claim.state, token: ticket.token === 0 ? '' : stampText(ticket.token), tag: stampText(ticket.tag) };
}

/** The ledger's own of a ticket that its owner names again. A grant that he never used is no release, and is not charged. */
function giveWay(turn: Turn, existing: Ticket, at: ReassertedTicket['state']): void {
  if (existing.state === 'running' && at !== 'recording') {
    giveSlot(turn.state, existing);
    if (at === 'waiting') refund(turn.state, existing);
    existing.state = 'recording';
  }
  endTicket(turn, existing);
}

/** It is the same run: whom it was charged to, and since when. */
function keepGrant(ticket: Ticket, { band, isOverflow, chargedTokens, sinceMs }: Ticket): void {
  if (sinceMs > 0) Object.assign(ticket, { band, isOverflow, chargedTokens, sinceMs });
}

function ticketOf(turn: Turn, claim: ReassertedTicket): Ticket {
  const tag = Number(claim.tag);
  turn.state.stamp = Math.max(turn.state.stamp, tag);
  const { queuedAtMs, endpointId, excluded, attempt } = claim;
  return newTicket(turn, claim, {
    tag: tag > 0 ? tag : nextStamp(turn),
    ...{ queuedAtMs, endpointId, excluded, attempt },
    owner: turn.owner,
    sinceMs: turn.nowMs,
  });
}

function place(turn: Turn, ticket: Ticket, at: ReassertedTicket['state']): void {
  const { state } = turn;
  if (at === 'waiting') {
    enqueue(state, ticket);
    return;
  }
  ticket.state = at;
  ticket.token = nextStamp(turn);
  unquarantine(state, ticket.endpointId, ticket.owner, ticket.id);
  if (at === 'recording') return;
  takeSlot(state, ticket, ticket.endpointId);
  if (endpointOf(state, ticket.endpointId) === undefined) state.endpoints.push(unlistedEndpoint(ticket.endpointId));
}
