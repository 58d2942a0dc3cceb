import { refusal } from './budget.ts';
import { addDue, dueBucketMs, removeDue } from './due.ts';
import type { Ok } from './ops.ts';
import { outcomeOf } from './outcome-of.ts';
import { isPaused } from './rules.ts';
import { openSlots } from './slots.ts';
import { bookOf, type Demand, type LedgerState, type ObjectiveBook } from './state.ts';
import type { ConfirmOp, ForgetOp, OverdueOp, OverdueReply, ReserveOp, ReserveReply } from './stored-ops.ts';
import { addUsage } from './tenant-usage.ts';
import type { Turn } from './turn.ts';

/** Counts stored work before it is written; lapses by itself. Repeating it renews it. */
export function reserve(turn: Turn, op: ReserveOp): ReserveReply {
  const { state } = turn;
  const isNew = !state.demand.has(op.id) && outcomeOf(turn, op.id) === undefined;
  if (isNew) {
    const rejected = refusal(state, op);
    if (rejected !== undefined) return rejected;
    addDemand(turn, op, turn.nowMs);
  }
  if (isNew || state.reservations.has(op.id)) state.reservations.add(op.id, turn.nowMs + op.ttlMs);
  const asleep = openSlots(state) === 0 && !isPaused(state, op.objective);
  if (asleep) turn.hints.add('wake');
  return { kind: 'reserved', asleep };
}

/** The work is accepted: it is demand until its outcome. Makes the entry when it is missing. */
export function confirm(turn: Turn, op: ConfirmOp): Ok {
  const { state } = turn;
  if (outcomeOf(turn, op.id) !== undefined) return { kind: 'ok' };
  const isNew = !state.demand.has(op.id);
  if (isNew) addDemand(turn, op, op.acceptedAtMs > 0 ? op.acceptedAtMs : turn.nowMs);
  const wasReserved = state.reservations.delete(op.id);
  const demand = state.demand.get(op.id);
  if (op.announced && demand !== undefined) demand.isAnnounced = true;
  if (op.deadlineMs > 0 && demand !== undefined) setDeadline(state, op, demand);
  if (isNew || wasReserved) bookOf(state, op.objective).arrivedTotal += 1;
  return { kind: 'ok' };
}

export function forget(turn: Turn, op: ForgetOp): Ok {
  removeDemand(turn.state, op.id);
  return { kind: 'ok' };
}

export function overdue({ state, nowMs }: Turn, op: OverdueOp): OverdueReply {
  const ids = state.deadlines.upTo(nowMs, op.limit);
  return { kind: 'overdue', jobs: ids.map((id) => ({ id, objective: state.demand.get(id)?.objective ?? '' })) };
}

export function removeDemand(state: LedgerState, id: string): void {
  const demand = state.demand.get(id);
  if (demand === undefined) return;
  state.demand.delete(id);
  state.reservations.delete(id);
  state.deadlines.delete(id);
  const book = bookOf(state, demand.objective);
  removeDue(book, demand);
  book.stored.delete(id);
  book.storedBytes -= demand.bytes;
  book.storedCostTokens -= demand.costTokens;
  addUsage(state.tenantsStored, demand.fairnessId, -1, demand.bytes);
}

function addDemand(turn: Turn, op: ReserveOp | ConfirmOp, arrivedAtMs: number): void {
  const { state } = turn;
  const { objective, bytes, costTokens, fairnessId = '' } = op;
  const book = bookOf(state, objective);
  book.priority = op.priority;
  // The first stored work of an objective opens its intake window.
  if (!hasStored(book)) turn.hints.add('windows');
  state.demand.set(op.id, { objective, fairnessId, bytes, costTokens, isAnnounced: false, dueBucketMs: 0 });
  addUsage(state.tenantsStored, fairnessId, 1, bytes);
  book.stored.add(op.id, arrivedAtMs);
  book.storedBytes += bytes;
  book.storedCostTokens += costTokens;
  state.activityEpoch += 1;
}

/** Work that is stored, one by one or in bulk. */
export function hasStored(book: ObjectiveBook): boolean {
  return book.stored.size > 0 || book.bulks.size > 0;
}

function setDeadline(state: LedgerState, op: ConfirmOp, demand: Demand): void {
  state.deadlines.add(op.id, op.deadlineMs);
  const book = bookOf(state, demand.objective);
  const acceptedAtMs = book.stored.score(op.id) ?? 0;
  const bucketMs = dueBucketMs(op.deadlineMs, acceptedAtMs);
  if (bucketMs === demand.dueBucketMs) return;
  removeDue(book, demand);
  addDue(book, demand, bucketMs, acceptedAtMs);
}
