import { OrderedSet } from './ordered-set.ts';
import { bookOf, getOrMake, type LedgerState, type ObjectiveBook, type Ticket } from './state.ts';

/** Tickets block only those of the same key. The key is also the order of queues inside a band. */
export function queueKey(ticket: Pick<Ticket, 'priority' | 'objective' | 'classKey' | 'excluded'>): string {
  return [`${ticket.priority}|${ticket.objective}|${ticket.classKey}`, ...ticket.excluded].join('\n');
}

/** Puts the ticket at its place in the order; it holds no slot any more. */
export function enqueue(state: LedgerState, ticket: Ticket): void {
  ticket.state = 'waiting';
  const key = queueKey(ticket);
  const { priority, objective, classKey, excluded } = ticket;
  const make = () => ({ key, priority, objective, classKey, excluded, tickets: new OrderedSet() });
  getOrMake(state.queues, key, make).tickets.add(ticket.id, ticket.tag);
  state.queueOrder.add(key, -priority);
  const book = bookOf(state, objective);
  waitingOf(book, ticket).add(ticket.id, ticket.tag);
  if (ticket.expiresAtMs > 0) state.expiries.add(ticket.id, ticket.expiresAtMs);
  if (ticket.kind === 'held') addHeld(book, ticket.bytes, ticket.costTokens);
}

/** Takes a waiting ticket out of its queue. */
export function dequeue(state: LedgerState, ticket: Ticket): void {
  const key = queueKey(ticket);
  const queue = state.queues.get(key);
  queue?.tickets.delete(ticket.id);
  if (queue?.tickets.size === 0) {
    state.queues.delete(key);
    state.queueOrder.delete(key);
  }
  const book = bookOf(state, ticket.objective);
  waitingOf(book, ticket).delete(ticket.id);
  if (ticket.expiresAtMs > 0) state.expiries.delete(ticket.id);
  if (ticket.kind === 'held') addHeld(book, -ticket.bytes, -ticket.costTokens);
}

/** How many waiting tickets stand before it: all of higher bands, and those of its own band with a smaller tag. */
export function positionOf(state: LedgerState, ticket: Ticket): number {
  let ahead = 0;
  for (const queue of state.queues.values()) {
    if (queue.priority > ticket.priority) ahead += queue.tickets.size;
    else if (queue.priority === ticket.priority) ahead += queue.tickets.countBelow(ticket.tag);
  }
  return ahead;
}

function waitingOf(book: ObjectiveBook, ticket: Ticket): OrderedSet {
  return ticket.kind === 'held' ? book.held : book.intake;
}

function addHeld(book: ObjectiveBook, bytes: number, costTokens: number): void {
  book.heldBytes += bytes;
  book.heldCostTokens += costTokens;
}
