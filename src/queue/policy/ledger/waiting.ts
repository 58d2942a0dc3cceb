import { trackExpiry, untrackExpiry } from './expiry.ts';
import { bandOf, flowOf } from './flows.ts';
import type { OrderedSet } from './ordered-set.ts';
import { place, queueKey, unplace } from './places.ts';
import { bookOf, type LedgerState, type ObjectiveBook, type Ticket } from './state.ts';
import { addUsage } from './tenant-usage.ts';

/** Puts the ticket at its place in the order; it holds no slot any more. */
export function enqueue(state: LedgerState, ticket: Ticket): void {
  ticket.state = 'waiting';
  place(state, ticket);
  const book = bookOf(state, ticket.objective);
  waitingOf(book, ticket).add(ticket.id, ticket.tag);
  trackExpiry(state, ticket);
  if (ticket.kind === 'held') addHeld(state, book, ticket, 1);
}

/** Takes a waiting ticket out of the order. */
export function dequeue(state: LedgerState, ticket: Ticket): void {
  unplace(state, ticket);
  const book = bookOf(state, ticket.objective);
  waitingOf(book, ticket).delete(ticket.id);
  untrackExpiry(state, ticket);
  if (ticket.kind === 'held') addHeld(state, book, ticket, -1);
}

/**
 * About how many waiting tickets get a slot before it, 0 = next: all of higher bands; of its own band as if the flows of
 * its queue took turns, one ticket each. What shares, weights and costs do to that is not foreseen.
 */
export function positionOf(state: LedgerState, ticket: Ticket): number {
  let higher = 0;
  for (const [band, { waiting }] of state.bands) if (band > ticket.band) higher += waiting;
  const rest = bandOf(state, ticket.band).waiting;
  const flow = flowOf(ticket);
  const queue = state.queues.get(queueKey(ticket));
  const rank = queue?.lines.get(flow)?.rank(ticket.id);
  if (queue === undefined || rank === undefined) return higher + rest;
  const flows = queue.flows.size;
  return higher + Math.min(rest - 1, rank * Math.max(1, flows) + (queue.flows.rank(flow) ?? flows));
}

function waitingOf(book: ObjectiveBook, ticket: Ticket): OrderedSet {
  return ticket.kind === 'held' ? book.held : book.intake;
}

function addHeld(state: LedgerState, book: ObjectiveBook, ticket: Ticket, sign: 1 | -1): void {
  book.heldBytes += sign * ticket.bytes;
  book.heldCostTokens += sign * ticket.costTokens;
  addUsage(state.tenantsHeld, ticket.fairnessId, sign, ticket.bytes);
}
