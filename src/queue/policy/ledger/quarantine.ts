import { assign } from './assign.ts';
import type { ObserveOp, Ok } from './ops.ts';
import { getOrMake, type LedgerState, type Ticket } from './state.ts';
import { giveSlot } from './tickets.ts';
import type { Turn } from './turn.ts';

/** The slot of a dead owner's call stays out of use, for the engine may still be busy with it. Counts as no release. */
export function quarantineSlot({ state, nowMs }: Turn, ticket: Ticket): void {
  giveSlot(state, ticket);
  ticket.state = 'recording';
  getOrMake(state.quarantine, ticket.endpointId, () => new Map<string, number>()).set(ticket.id, nowMs);
}

/** The owner was not dead after all and holds the slot itself again. */
export function unquarantine(state: LedgerState, endpointId: string, ticketId: string): void {
  dropEntries(state, endpointId, (id) => id === ticketId);
}

/** Frees quarantined slots that have reached the cap. */
export function expireQuarantine({ state, nowMs }: Turn): void {
  for (const endpointId of [...state.quarantine.keys()]) {
    dropEntries(state, endpointId, (_id, reapedAtMs) => reapedAtMs + state.timing.quarantineCapMs <= nowMs);
  }
}

/**
 * Frees quarantined slots once two scrapes in a row, both begun after the reap, show no more requests in the engine
 * than living owners run there.
 */
export function observe(turn: Turn, op: ObserveOp): Ok {
  const { state } = turn;
  if (!state.quarantine.has(op.endpointId)) return { kind: 'ok' };
  const livingRequests = state.used.get(op.endpointId)?.size ?? 0;
  if (op.activeRequests > livingRequests) {
    state.cleanScrapeMs.delete(op.endpointId);
    return { kind: 'ok' };
  }
  const firstCleanMs = state.cleanScrapeMs.get(op.endpointId);
  state.cleanScrapeMs.set(op.endpointId, op.startedAtMs);
  if (firstCleanMs === undefined || firstCleanMs >= op.startedAtMs) return { kind: 'ok' };
  dropEntries(state, op.endpointId, (_id, reapedAtMs) => reapedAtMs < firstCleanMs);
  assign(turn);
  return { kind: 'ok' };
}

function dropEntries(
  state: LedgerState,
  endpointId: string,
  isOver: (id: string, reapedAtMs: number) => boolean,
): void {
  const entries = state.quarantine.get(endpointId);
  if (entries === undefined) return;
  for (const [id, reapedAtMs] of entries) if (isOver(id, reapedAtMs)) entries.delete(id);
  if (entries.size > 0) return;
  state.quarantine.delete(endpointId);
  state.cleanScrapeMs.delete(endpointId);
}
