import { flowOf, bandOf, joinFlow, leaveFlow } from './flows.ts';
import { OrderedSet } from './ordered-set.ts';
import { agedBand, isPaused, laneOf } from './rules.ts';
import { getOrMake, type LedgerState, type Ticket } from './state.ts';

/** Where a ticket without deadline and expiry stands among those of its tenant: as if it were due so long after its arrival. */
const DAY_US = 86_400_000_000;

/** Tickets block only those of the same key. The key is also the order of queues inside a band. */
export function queueKey(ticket: Pick<Ticket, 'band' | 'lane' | 'classKey' | 'excluded'>): string {
  return [`${ticket.band}|${ticket.lane}|${ticket.classKey}`, ...ticket.excluded].join('\n');
}

/**
 * Earliest deadline first, then arrival: ids decide between equals. An aged ticket, which stands in another band than its
 * own, is due since it came. Microseconds; the same whenever it waits again.
 */
export function placeOf({
  band,
  priority,
  queuedAtMs,
  deadlineMs,
  tag,
}: Pick<Ticket, 'band' | 'priority' | 'queuedAtMs' | 'deadlineMs' | 'tag'>): number {
  const dueMs = band === priority ? deadlineMs : Math.min(deadlineMs || Infinity, queuedAtMs);
  return dueMs > 0 ? dueMs * 1_000 : tag + DAY_US;
}

/** Puts a waiting ticket into the line of its flow, or aside while its objective is paused. */
export function place(state: LedgerState, ticket: Ticket): void {
  const { id, objective, classKey, excluded } = ticket;
  if (isPaused(state, objective)) {
    getOrMake(state.parked, objective, () => new Set()).add(id);
    return;
  }
  ticket.lane = laneOf(state, objective);
  joinFlow(state, ticket);
  const { band, lane } = ticket;
  const flow = flowOf(ticket);
  const key = queueKey(ticket);
  const make = () => ({
    key,
    band,
    lane,
    classKey,
    excluded,
    flows: new OrderedSet(),
    lines: new Map<string, OrderedSet>(),
  });
  const queue = getOrMake(state.queues, key, make);
  getOrMake(queue.lines, flow, () => new OrderedSet()).add(id, placeOf(ticket));
  const { waiting, flows } = bandOf(state, band);
  bandOf(state, band).waiting = waiting + 1;
  const isCapped = ticket.maxConcurrency > 0 && state.capped.get(flow)?.has(key);
  if (!isCapped) {
    queue.flows.add(flow, flows.get(flow) ?? 0);
    state.queueOrder.add(key, -band);
  }
  const agingMs = state.rules.get(objective)?.agingMs ?? 0;
  if (agingMs > 0 && band < agedBand(state, band)) state.aging.add(id, ticket.queuedAtMs + agingMs);
}

export function unplace(state: LedgerState, ticket: Ticket): void {
  const parked = state.parked.get(ticket.objective);
  if (parked?.delete(ticket.id)) {
    if (parked.size === 0) state.parked.delete(ticket.objective);
    return;
  }
  const flow = flowOf(ticket);
  const key = queueKey(ticket);
  const queue = state.queues.get(key);
  const line = queue?.lines.get(flow);
  if (queue === undefined || line === undefined) return;
  line.delete(ticket.id);
  bandOf(state, ticket.band).waiting -= 1;
  state.aging.delete(ticket.id);
  if (line.size > 0) return;
  queue.lines.delete(flow);
  queue.flows.delete(flow);
  forgetCapped(state, flow, key);
  if (queue.flows.size === 0) state.queueOrder.delete(key);
  if (queue.lines.size === 0) state.queues.delete(key);
  leaveFlow(state, ticket.band, flow);
}

function forgetCapped(state: LedgerState, flow: string, key: string): void {
  const keys = state.capped.get(flow);
  keys?.delete(key);
  if (keys?.size === 0) state.capped.delete(flow);
}
