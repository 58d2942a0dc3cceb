import type { Ok } from './ops.ts';
import type { LedgerState } from './state.ts';
import type { AckOutboxOp, OutboxOp, OutboxReply } from './stored-ops.ts';
import type { Turn } from './turn.ts';

/** Entries that one announcement may find too old: more than it adds, so that an outbox nobody reads stays bounded. */
const MAX_DROPPED = 2;

/** Part of the step that sets the first outcome. An entry lives no longer than an outcome does. */
export function announce({ state, nowMs }: Turn, id: string, objective: string): void {
  for (const old of state.outbox.upTo(nowMs - state.timing.outcomeRetentionMs, MAX_DROPPED)) remove(state, old);
  state.outbox.add(id, nowMs);
  state.outboxObjectives.set(id, objective);
}

export function outbox({ state, nowMs }: Turn, op: OutboxOp): OutboxReply {
  const ids = state.outbox.upTo(nowMs, op.limit);
  return { kind: 'outbox', jobs: ids.map((id) => ({ id, objective: state.outboxObjectives.get(id) ?? '' })) };
}

export function ackOutbox({ state }: Turn, op: AckOutboxOp): Ok {
  for (const id of op.ids) remove(state, id);
  return { kind: 'ok' };
}

function remove(state: LedgerState, id: string): void {
  state.outbox.delete(id);
  state.outboxObjectives.delete(id);
}
