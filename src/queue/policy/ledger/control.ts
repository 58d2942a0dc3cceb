import { assign } from './assign.ts';
import type { PausedOp, PausedReply, SetPausedOp } from './control-ops.ts';
import { replaceAll } from './moves.ts';
import type { Ok } from './ops.ts';
import { isPaused } from './rules.ts';
import type { Turn } from './turn.ts';

/** The operator's word beside the policy's. What waits keeps its place; what runs or is offered a slot goes on. */
export function setPaused(turn: Turn, op: SetPausedOp): Ok {
  const { state, hints } = turn;
  const wasPaused = isPaused(state, op.objective);
  if (op.paused) state.paused.add(op.objective);
  else state.paused.delete(op.objective);
  if (isPaused(state, op.objective) === wasPaused) return { kind: 'ok' };
  replaceAll(state, op.objective);
  hints.add('windows');
  assign(turn);
  return { kind: 'ok' };
}

export function paused({ state }: Turn, _op: PausedOp): PausedReply {
  return { kind: 'paused', objectives: [...state.paused].sort() };
}
