import type { Eviction, Offer } from './ops.ts';
import { OrderedSet } from './ordered-set.ts';
import { hold, unhold } from './slots.ts';
import { bookOf, getOrMake, type Ticket } from './state.ts';
import { nextStamp, stampText, type Turn, tellEviction, tellOffer } from './turn.ts';
import { dequeue, enqueue } from './waiting.ts';

/** This owner's ticket of that id. */
export function ownTicket(turn: Turn, id: string): Ticket | undefined {
  const ticket = turn.state.tickets.get(id);
  return ticket?.owner === turn.owner ? ticket : undefined;
}

/** This owner's ticket, if the token is the one of its present grant. */
export function grantedTicket(turn: Turn, id: string, token: string): Ticket | undefined {
  const ticket = ownTicket(turn, id);
  return ticket !== undefined && stampText(ticket.token) === token ? ticket : undefined;
}

export function addTicket(turn: Turn, ticket: Ticket): void {
  turn.state.tickets.set(ticket.id, ticket);
  getOrMake(turn.state.ownerTickets, ticket.owner, () => new Set()).add(ticket.id);
}

/** waiting → offered: reserves the slot and tells the owner. */
export function offer(turn: Turn, ticket: Ticket, endpointId: string): void {
  const { state } = turn;
  const reserved = reserve(turn, ticket, endpointId);
  ticket.state = 'offered';
  const lapsesAtMs = turn.nowMs + state.timing.offerMs;
  getOrMake(state.offers, ticket.owner, () => new OrderedSet()).add(ticket.id, lapsesAtMs);
  tellOffer(turn, ticket.owner, reserved);
}

/** waiting → running, for a ticket of the caller. */
export function grant(turn: Turn, ticket: Ticket, endpointId: string): void {
  const reserved = reserve(turn, ticket, endpointId);
  startRun(turn, ticket);
  turn.grants.push({ ...reserved, attempt: ticket.attempt, waitedMs: turn.nowMs - ticket.queuedAtMs });
}

function reserve(turn: Turn, ticket: Ticket, endpointId: string): Offer {
  dequeue(turn.state, ticket);
  hold(turn.state, endpointId, ticket.id);
  ticket.endpointId = endpointId;
  ticket.token = nextStamp(turn);
  return { id: ticket.id, endpointId, token: stampText(ticket.token) };
}

/** offered → waiting, at its old place. */
export function unoffer(turn: Turn, ticket: Ticket): void {
  turn.state.offers.get(ticket.owner)?.delete(ticket.id);
  unhold(turn.state, ticket.endpointId, ticket.id);
  enqueue(turn.state, ticket);
}

/** → running. The slot is reserved already, or `hold` is called by whoever grants it at once. */
export function startRun(turn: Turn, ticket: Ticket): void {
  ticket.state = 'running';
  ticket.attempt += 1;
  ticket.sinceMs = turn.nowMs;
}

/** running → recording: the slot is free. */
export function stopRun(turn: Turn, ticket: Ticket): void {
  unhold(turn.state, ticket.endpointId, ticket.id);
  ticket.state = 'recording';
  const book = bookOf(turn.state, ticket.objective);
  book.releasedTotal += 1;
  book.slotMsTotal += turn.nowMs - ticket.sinceMs;
  book.releasedCostTokensTotal += ticket.costTokens;
}

/** Takes the ticket out of the ledger, with whatever it holds. The caller runs assign. */
export function endTicket(turn: Turn, ticket: Ticket): void {
  const { state } = turn;
  if (ticket.state === 'waiting') dequeue(state, ticket);
  if (ticket.state === 'offered') {
    state.offers.get(ticket.owner)?.delete(ticket.id);
    unhold(state, ticket.endpointId, ticket.id);
  }
  if (ticket.state === 'running') stopRun(turn, ticket);
  state.tickets.delete(ticket.id);
  state.ownerTickets.get(ticket.owner)?.delete(ticket.id);
}

/** Ends a ticket that its owner still counts on, and tells him why. */
export function evict(turn: Turn, ticket: Ticket, reason: Eviction['reason']): void {
  endTicket(turn, ticket);
  tellEviction(turn, ticket.owner, { id: ticket.id, reason });
}
