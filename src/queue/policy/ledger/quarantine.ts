import { assign } from './assign.ts';
import type { ObserveOp, Ok } from './ops.ts';
import { unhold } from './slots.ts';
import { getOrMake, type LedgerState, type Scrape, type Ticket } from './state.ts';
import { giveSlot } from './tickets.ts';
import { isRecovering, type Turn } from './turn.ts';

/** A heartbeat heard so long after a scrape began was not on its way already when it did. */
const ON_ITS_WAY_MS = 250;

/** The slot of a dead owner's call stays out of use, for the engine may still be busy with it. Counts as no release. */
export function quarantineSlot({ state, nowMs }: Turn, ticket: Ticket): void {
  giveSlot(state, ticket);
  ticket.state = 'recording';
  entriesOf(state, ticket.endpointId).set(entryOf(ticket.owner, ticket.id), nowMs);
}

/** The owner was not dead after all and holds the slot itself again. */
export function unquarantine(state: LedgerState, endpointId: string, owner: string, ticketId: string): void {
  const own = entryOf(owner, ticketId);
  dropEntries(state, endpointId, (entry) => entry === own);
}

/**
 * A new incarnation begins: every slot in use is somebody's who may live or stand still, and is his when he re-asserts
 * it. Times of the old incarnation may be another server's, so all count from now.
 */
export function quarantineAll({ state, nowMs }: Turn): void {
  state.inherited.clear();
  for (const [endpointId, ids] of state.used) {
    for (const id of [...ids]) {
      unhold(state, endpointId, id);
      const ticket = state.tickets.get(id);
      if (ticket === undefined) continue;
      const entry = entryOf(ticket.owner, id);
      entriesOf(state, endpointId).set(entry, nowMs);
      state.inherited.add(`${endpointId}\n${entry}`);
    }
  }
  for (const entries of state.quarantine.values()) for (const entry of entries.keys()) entries.set(entry, nowMs);
  state.scrapes.clear();
}

/**
 * The owner has said in time what it runs: nothing else that it had when the incarnation began is still in an engine. What
 * was in quarantine before stays: scrapes count, so that a slot left there can stand for a request of somebody else.
 */
export function unquarantineRest(state: LedgerState, owner: string): void {
  for (const endpointId of [...state.quarantine.keys()]) {
    const isOwn = (entry: string) => entry.startsWith(entryOf(owner, ''));
    dropEntries(state, endpointId, (entry) => isOwn(entry) && state.inherited.has(`${endpointId}\n${entry}`));
  }
}

/** Frees quarantined slots that have reached the cap. */
export function expireQuarantine({ state, nowMs }: Turn): void {
  for (const endpointId of [...state.quarantine.keys()]) {
    dropEntries(state, endpointId, (_entry, reapedAtMs) => reapedAtMs + state.timing.quarantineCapMs <= nowMs);
  }
}

/**
 * Of two scrapes in a row, both begun after the reap, the larger number of requests, less those that are proven to be
 * living owners' at the first, is the most that dead owners can still have in the engine. What is in quarantine beyond
 * that is freed, the oldest first. Nothing is freed so while owners may still say which slots are theirs.
 */
export function observe(turn: Turn, op: ObserveOp): Ok {
  const { state } = turn;
  const { endpointId, activeRequests, startedAtMs } = op;
  const entries = state.quarantine.get(endpointId);
  if (entries === undefined || isRecovering(state)) return { kind: 'ok' };
  const before = state.scrapes.get(endpointId);
  if (before !== undefined && before.startedAtMs >= startedAtMs) return { kind: 'ok' };
  state.scrapes.set(endpointId, { startedAtMs, activeRequests });
  if (before === undefined) return { kind: 'ok' };
  const strangers = Math.max(before.activeRequests, activeRequests) - provenRequests(state, endpointId, before);
  const old = [...entries].filter(([, reapedAtMs]) => reapedAtMs < before.startedAtMs);
  const byAge = old.sort(([a, aMs], [b, bMs]) => aMs - bMs || (a < b ? -1 : 1));
  const free = new Set(byAge.slice(0, Math.max(0, old.length - Math.max(0, strangers))).map(([entry]) => entry));
  if (free.size === 0) return { kind: 'ok' };
  dropEntries(state, endpointId, (entry) => free.has(entry));
  assign(turn);
  return { kind: 'ok' };
}

/**
 * Requests of living owners that the engine had when the scrape began. A grant alone proves nothing: its answer may be on
 * its way, or lie unread in a process that stands still. After the time in which such a process is taken for dead it has
 * been read; and an owner that was heard since the scrape would have given back a slot that it did not use then.
 */
function provenRequests(state: LedgerState, endpointId: string, { startedAtMs }: Scrape): number {
  let proven = 0;
  for (const id of state.used.get(endpointId) ?? []) {
    const ticket = state.tickets.get(id);
    if (ticket?.state !== 'running' || ticket.sinceMs + state.timing.deadOwnerMs > startedAtMs) continue;
    if ((state.owners.score(ticket.owner) ?? 0) > startedAtMs + ON_ITS_WAY_MS) proven += 1;
  }
  return proven;
}

/** One slot of one run: others may run the same stored work again meanwhile. */
function entryOf(owner: string, ticketId: string): string {
  return `${owner}\n${ticketId}`;
}

function entriesOf(state: LedgerState, endpointId: string): Map<string, number> {
  return getOrMake(state.quarantine, endpointId, () => new Map<string, number>());
}

function dropEntries(
  state: LedgerState,
  endpointId: string,
  isOver: (entry: string, reapedAtMs: number) => boolean,
): void {
  const entries = state.quarantine.get(endpointId);
  if (entries === undefined) return;
  for (const [entry, reapedAtMs] of entries) if (isOver(entry, reapedAtMs)) entries.delete(entry);
  if (entries.size > 0) return;
  state.quarantine.delete(endpointId);
  state.scrapes.delete(endpointId);
}
