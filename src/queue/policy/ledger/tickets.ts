import { recharge, serve, uncapFlow } from './flows.ts';
import type { Eviction, Offer } from './ops.ts';
import { OrderedSet } from './ordered-set.ts';
import { account } from './shares.ts';
import { hold, unhold } from './slots.ts';
import { bookOf, getOrMake, type LedgerState, type Ticket } from './state.ts';
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

/** A slot for a waiting ticket. */
interface Reserving {
  readonly ticket: Ticket;
  readonly endpointId: string;
  readonly isByShare: boolean;
}

/** waiting → offered: reserves the slot and tells the owner. */
export function offer(turn: Turn, pick: Reserving): void {
  const { state } = turn;
  const { ticket } = pick;
  const reserved = reserve(turn, pick);
  ticket.state = 'offered';
  const lapsesAtMs = turn.nowMs + state.timing.offerMs;
  getOrMake(state.offers, ticket.owner, () => new OrderedSet()).add(ticket.id, lapsesAtMs);
  tellOffer(turn, ticket.owner, reserved);
}

/** waiting → running, for a ticket of the caller. */
export function grant(turn: Turn, pick: Reserving): void {
  const { ticket } = pick;
  const reserved = reserve(turn, pick);
  startRun(turn, ticket);
  turn.grants.push({ ...reserved, attempt: ticket.attempt, waitedMs: turn.nowMs - ticket.queuedAtMs });
}

/** waiting → running, for the ticket that is being admitted: its reply tells. */
export function runEntering(turn: Turn, pick: Reserving): void {
  reserve(turn, pick);
  startRun(turn, pick.ticket);
}

function reserve(turn: Turn, { ticket, endpointId, isByShare }: Reserving): Offer {
  const { state } = turn;
  dequeue(state, ticket);
  serve(state, ticket, isByShare);
  account(state, ticket.objective, ticket.chargedTokens);
  takeSlot(state, ticket, endpointId);
  ticket.token = nextStamp(turn);
  return { id: ticket.id, endpointId, token: stampText(ticket.token) };
}

/** The ticket holds a slot there. */
export function takeSlot(state: LedgerState, ticket: Ticket, endpointId: string): void {
  hold(state, endpointId, ticket.id);
  ticket.endpointId = endpointId;
  bookOf(state, ticket.objective).slots += 1;
  if (ticket.maxConcurrency === 0) return;
  state.tenantSlots.set(ticket.fairnessId, (state.tenantSlots.get(ticket.fairnessId) ?? 0) + 1);
}

export function giveSlot(state: LedgerState, ticket: Ticket): void {
  unhold(state, ticket.endpointId, ticket.id);
  bookOf(state, ticket.objective).slots -= 1;
  if (ticket.maxConcurrency === 0) return;
  const left = (state.tenantSlots.get(ticket.fairnessId) ?? 0) - 1;
  if (left > 0) state.tenantSlots.set(ticket.fairnessId, left);
  else state.tenantSlots.delete(ticket.fairnessId);
  uncapFlow(state, ticket.fairnessId);
}

/** Its grant was not used: its flow and its objective are charged nothing. */
export function refund(state: LedgerState, ticket: Ticket): void {
  if (ticket.chargedTokens === 0) return;
  account(state, ticket.objective, -ticket.chargedTokens);
  recharge(state, ticket, 0);
}

/** The engine told what it used; 0 = it did not. */
export function correct(state: LedgerState, ticket: Ticket, usedTokens = 0): void {
  if (usedTokens > 0 && ticket.chargedTokens > 0) recharge(state, ticket, usedTokens);
}

/** offered or running → waiting, at its old place. */
export function waitAgain(turn: Turn, ticket: Ticket): void {
  giveSlot(turn.state, ticket);
  refund(turn.state, ticket);
  enqueue(turn.state, ticket);
}

/** offered → waiting. */
export function unoffer(turn: Turn, ticket: Ticket): void {
  turn.state.offers.get(ticket.owner)?.delete(ticket.id);
  waitAgain(turn, ticket);
}

/** → running. The slot is reserved already, or `hold` is called by whoever grants it at once. */
export function startRun(turn: Turn, ticket: Ticket): void {
  ticket.state = 'running';
  ticket.attempt += 1;
  ticket.sinceMs = turn.nowMs;
}

/** running → recording: the slot is free. */
export function stopRun(turn: Turn, ticket: Ticket): void {
  giveSlot(turn.state, ticket);
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
    giveSlot(state, ticket);
    refund(state, ticket);
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
