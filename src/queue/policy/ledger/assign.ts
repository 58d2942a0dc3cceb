import { freest, isOtherFree } from './slots.ts';
import type { Ticket, WaitingQueue } from './state.ts';
import { evict, grant, offer } from './tickets.ts';
import { isRecovering, type Turn } from './turn.ts';

/** Offers one assign makes; what is left is owed, and the fast path is shut until the next assign has gone on. */
const MAX_OFFERS_PER_ASSIGN = 256;
/** Tickets looked at in one queue before it counts as blocked by owners that cannot be offered anything. */
const MAX_LOOKS_PER_QUEUE = 32;
/** An owner that let this many offers lapse gets none until its next heartbeat. */
const MAX_MISSED_OFFERS = 2;

interface Pick {
  readonly ticket: Ticket;
  readonly endpointId: string;
}

/**
 * Gives every free slot to the ticket that it is owed to. Run by whatever frees a slot, adds a ticket, opens an
 * endpoint or widens its slots, so that afterwards no waiting ticket could use a free slot.
 */
export function assign(turn: Turn): void {
  if (isRecovering(turn.state)) return;
  for (let offers = 0; offers < MAX_OFFERS_PER_ASSIGN; offers += 1) {
    const pick = nextTicket(turn);
    if (pick === undefined) {
      turn.state.isAssignOwed = false;
      return;
    }
    if (isWithoutChoice(turn, pick)) grant(turn, pick.ticket, pick.endpointId);
    else offer(turn, pick.ticket, pick.endpointId);
  }
  turn.state.isAssignOwed = true;
}

/** The owner is here and could take this slot only: to ask him would cost a turn and change nothing. */
function isWithoutChoice({ state, owner, reach }: Turn, { ticket, endpointId }: Pick): boolean {
  return ticket.owner === owner && reach.includes(endpointId) && !isOtherFree(state, ticket, endpointId);
}

/** The next ticket of the highest band in which one can run. */
function nextTicket(turn: Turn): Pick | undefined {
  const queues = queuesInOrder(turn);
  for (let first = 0; first < queues.length; ) {
    const priority = queues[first]?.priority;
    let end = first;
    while (queues[end]?.priority === priority) end += 1;
    const pick = nextTicketOfBand(turn, queues.slice(first, end));
    if (pick !== undefined) return pick;
    first = end;
  }
  return undefined;
}

/**
 * The order inside a band: the earliest arrival over its objectives and classes; a class without a free slot is passed
 * over. This is the one place where guaranteed shares, aging, fair tags and reserved slots belong.
 */
function nextTicketOfBand(turn: Turn, queues: readonly WaitingQueue[]): Pick | undefined {
  let best: Pick | undefined;
  for (const queue of queues) {
    const endpointId = freest(turn.state, queue);
    if (endpointId === undefined) continue;
    const ticket = firstOfferable(turn, queue);
    if (ticket !== undefined && (best === undefined || ticket.tag < best.ticket.tag)) best = { ticket, endpointId };
  }
  return best;
}

/** The first ticket of the queue whose owner can be offered something. Expired ones met on the way are evicted. */
function firstOfferable(turn: Turn, queue: WaitingQueue): Ticket | undefined {
  let index = 0;
  for (let looks = 0; looks < MAX_LOOKS_PER_QUEUE; looks += 1) {
    const entry = queue.tickets.at(index);
    const ticket = entry && turn.state.tickets.get(entry.id);
    if (ticket === undefined) return undefined;
    if (ticket.expiresAtMs > 0 && ticket.expiresAtMs <= turn.nowMs) evict(turn, ticket, 'expired');
    else if (isOfferable(turn, ticket.owner)) return ticket;
    else index += 1;
  }
  return undefined;
}

function isOfferable({ state, nowMs }: Turn, owner: string): boolean {
  const beatMs = state.owners.score(owner);
  if (beatMs === undefined || beatMs <= nowMs - state.timing.deadOwnerMs) return false;
  return (state.missedOffers.get(owner) ?? 0) < MAX_MISSED_OFFERS;
}

function queuesInOrder({ state }: Turn): WaitingQueue[] {
  return state.queueOrder.ids().flatMap((key) => state.queues.get(key) ?? []);
}
