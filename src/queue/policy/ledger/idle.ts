import { noteCapacity } from './expiry.ts';
import type { CloseIfIdleOp, CloseIfIdleReply } from './ops.ts';
import { isRecovering, type Turn } from './turn.ts';

/**
 * Closes every gate for 1→0, if nothing is queued, stored or running and nothing came since the caller looked. A
 * request that comes later finds the pool asleep and wakes it.
 */
export function closeIfIdle(turn: Turn, op: CloseIfIdleOp): CloseIfIdleReply {
  const { state, hints } = turn;
  const { tickets, demand, bulks } = state;
  const isIdle = tickets.size + demand.size + bulks.size === 0 && !isRecovering(state);
  if (!isIdle || state.activityEpoch !== op.activityEpoch) return { kind: 'idle', closed: false };
  for (const endpoint of state.endpoints) endpoint.gate = 'closed';
  noteCapacity(turn);
  hints.add('windows');
  return { kind: 'idle', closed: true };
}
