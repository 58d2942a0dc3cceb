import { hasExpired } from './expiry.ts';
import { capFlow, isAtLimit } from './flows.ts';
import { replace } from './moves.ts';
import { placeOf } from './places.ts';
import { reservedAbove } from './reserved.ts';
import { isPaused } from './rules.ts';
import { inDebt } from './shares.ts';
import { freest, totalFree } from './slots.ts';
import type { LedgerState, Ticket, WaitingQueue } from './state.ts';
import { evict } from './tickets.ts';
import type { Turn } from './turn.ts';

/** Tickets looked at in one queue before it counts as blocked by owners that cannot be offered anything. */
const MAX_LOOKS_PER_QUEUE = 32;
/** An owner that let this many offers lapse gets none until its next heartbeat. */
const MAX_MISSED_OFFERS = 2;

export interface Pick {
  readonly ticket: Ticket;
  readonly endpointId: string;
  /** A guaranteed share was owed: it is served out of the order of bands and flows. */
  readonly isByShare: boolean;
}
interface Candidate extends Pick {
  readonly time: number;
}

/** The ticket that the next slot is owed to: by a share first, then the highest band that may use a free slot. */
export function nextTicket(turn: Turn): Pick | undefined {
  const { state } = turn;
  const free = totalFree(state);
  if (free === 0) return undefined;
  for (const lane of inDebt(state)) {
    const pick = firstOfBands(turn, queuesInOrder(state, lane), true);
    if (pick !== undefined) return pick;
  }
  return firstOfBands(turn, queuesInOrder(state), false, free);
}

/** `free`: slots that are, of which a band leaves alone those that are reserved above it. */
function firstOfBands(turn: Turn, queues: WaitingQueue[], isByShare: boolean, free = Infinity): Pick | undefined {
  for (let first = 0; first < queues.length; ) {
    const band = queues[first]?.band ?? 0;
    let end = first;
    while (queues[end]?.band === band) end += 1;
    if (free === Infinity || free > reservedAbove(turn, band)) {
      const pick = firstOfBand(turn, queues.slice(first, end), isByShare);
      if (pick !== undefined) return pick;
    }
    first = end;
  }
  return undefined;
}

/** Over the queues of a band: the least virtual time, then the earliest place. A class without a free slot is passed over. */
function firstOfBand(turn: Turn, queues: readonly WaitingQueue[], isByShare: boolean): Pick | undefined {
  let best: Candidate | undefined;
  for (const queue of queues) {
    const endpointId = freest(turn.state, queue);
    if (endpointId === undefined) continue;
    const found = firstOfQueue(turn, queue);
    if (found !== undefined && isBefore(found, best)) best = { ...found, endpointId, isByShare };
  }
  return best;
}

function isBefore(found: Omit<Candidate, 'endpointId' | 'isByShare'>, best: Candidate | undefined): boolean {
  if (best === undefined || found.time !== best.time) return best === undefined || found.time < best.time;
  return placeOf(found.ticket) < placeOf(best.ticket);
}

/** The first ticket, in order of flows, whose owner can be offered something. What is met on the way and cannot run leaves. */
function firstOfQueue(turn: Turn, queue: WaitingQueue): { ticket: Ticket; time: number } | undefined {
  const budget = { looks: MAX_LOOKS_PER_QUEUE };
  for (let index = 0; budget.looks > 0; ) {
    const flow = queue.flows.at(index);
    if (flow === undefined) return undefined;
    const ticket = firstOfLine(turn, queue, flow.id, budget);
    if (ticket !== undefined) return { ticket, time: flow.score };
    if (queue.flows.at(index)?.id === flow.id) index += 1;
  }
  return undefined;
}

function firstOfLine(turn: Turn, queue: WaitingQueue, flow: string, budget: { looks: number }): Ticket | undefined {
  const { state } = turn;
  for (let index = 0; budget.looks > 0; ) {
    const entry = queue.lines.get(flow)?.at(index);
    const ticket = entry && state.tickets.get(entry.id);
    if (ticket === undefined) return undefined;
    const isExpired = hasExpired(turn, ticket);
    const isCapped = isAtLimit(state, ticket);
    if (isExpired || isPaused(state, ticket.objective) || (isCapped && ticket.isOverflow)) {
      if (turn.movesLeft === 0) return undefined;
      turn.movesLeft -= 1;
      if (isExpired) evict(turn, ticket, 'expired');
      else replace(state, ticket);
    } else if (isCapped) {
      capFlow(state, queue.key, flow);
      return undefined;
    } else {
      if (isOfferable(turn, ticket.owner)) return ticket;
      budget.looks -= 1;
      index += 1;
    }
  }
  return undefined;
}

/** The owner lives and answers. */
export function isOfferable({ state, nowMs }: Turn, owner: string): boolean {
  const beatMs = state.owners.score(owner);
  if (beatMs === undefined || beatMs <= nowMs - state.timing.deadOwnerMs) return false;
  return (state.missedOffers.get(owner) ?? 0) < MAX_MISSED_OFFERS;
}

function queuesInOrder(state: LedgerState, lane?: string): WaitingQueue[] {
  const queues = state.queueOrder.ids().flatMap((key) => state.queues.get(key) ?? []);
  return lane === undefined ? queues : queues.filter((queue) => queue.lane === lane);
}
