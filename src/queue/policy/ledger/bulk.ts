import { hasStored } from './demand.ts';
import { isPaused } from './rules.ts';
import { openSlots } from './slots.ts';
import { bookOf, type LedgerState } from './state.ts';
import type { SetBulkOp, SetBulkReply } from './stored-ops.ts';
import type { Turn } from './turn.ts';

/** A bulk that nobody told for so long has no keeper any more: one that is gone must not keep a pool awake. */
const BULK_LAPSE_MS = 600_000;
const MAX_LAPSED_BULKS = 256;

/**
 * Replaces one bulk by absolute numbers; no requests removes it. More than was known is news: it bumps the epoch and
 * wakes a pool without an open slot. Its requests are no arrivals, because a file is work to be done and not a rate.
 */
export function setBulk(turn: Turn, op: SetBulkOp): SetBulkReply {
  const { state } = turn;
  const before = state.bulks.get(op.id);
  const isMore = op.requests > (before?.requests ?? 0);
  if (before !== undefined && (op.requests === 0 || before.objective !== op.objective)) {
    removeBulk(state, op.id);
  }
  if (op.requests > 0) addBulk(turn, op);
  const asleep = isMore && openSlots(state) === 0 && !isPaused(state, op.objective);
  if (isMore) state.activityEpoch += 1;
  if (asleep) turn.hints.add('wake');
  return { kind: 'bulk', asleep };
}

/** Part of the sweep. */
export function lapseBulks({ state, nowMs }: Turn): void {
  for (const id of state.bulksTold.upTo(nowMs - BULK_LAPSE_MS, MAX_LAPSED_BULKS)) removeBulk(state, id);
}

function removeBulk(state: LedgerState, id: string): void {
  const bulk = state.bulks.get(id);
  state.bulks.delete(id);
  state.bulksTold.delete(id);
  if (bulk !== undefined) bookOf(state, bulk.objective).bulks.delete(id);
}

function addBulk({ state, hints, nowMs }: Turn, op: SetBulkOp): void {
  const { objective, requests, bytes, costTokens, deadlineMs, acceptedAtMs } = op;
  const book = bookOf(state, objective);
  book.priority = op.priority;
  // As with jobs: the first stored work of an objective opens its intake window.
  if (!hasStored(book)) hints.add('windows');
  state.bulks.set(op.id, { objective, requests, bytes, costTokens, deadlineMs, acceptedAtMs });
  state.bulksTold.add(op.id, nowMs);
  book.bulks.add(op.id);
}
