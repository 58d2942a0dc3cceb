import { assign } from './assign.ts';
import type { FinishOp, Gone, Ok, ReleaseOp, RequeueOp, RequeueReply, WithdrawOp } from './ops.ts';
import { unhold } from './slots.ts';
import { bookOf } from './state.ts';
import { endTicket, grantedTicket, ownTicket, stopRun } from './tickets.ts';
import type { Turn } from './turn.ts';
import { enqueue, positionOf } from './waiting.ts';

/** Endpoints that one ticket remembers as failed; the oldest is forgotten. */
const MAX_EXCLUDED = 8;

/** running → recording. */
export function release(turn: Turn, op: ReleaseOp): Ok | Gone {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running') return { kind: 'gone' };
  stopRun(turn, ticket);
  assign(turn);
  return { kind: 'ok' };
}

/** running or recording → done, for a held call or a row. */
export function finish(turn: Turn, op: FinishOp): Ok | Gone {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running' && ticket?.state !== 'recording') return { kind: 'gone' };
  endTicket(turn, ticket);
  bookOf(turn.state, ticket.objective).settledTotal += 1;
  assign(turn);
  return { kind: 'ok' };
}

/** running → waiting at the old place. What it held counts neither as a release nor as slot time. */
export function requeue(turn: Turn, op: RequeueOp): RequeueReply {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running') return { kind: 'gone' };
  unhold(turn.state, ticket.endpointId, ticket.id);
  const isNew = op.exclude !== '' && !ticket.excluded.includes(op.exclude);
  if (isNew) ticket.excluded = [...ticket.excluded, op.exclude].slice(-MAX_EXCLUDED);
  enqueue(turn.state, ticket);
  const position = positionOf(turn.state, ticket);
  assign(turn);
  return { kind: 'queued', position };
}

/** any state → gone. */
export function withdraw(turn: Turn, op: WithdrawOp): Ok | Gone {
  const ticket = ownTicket(turn, op.id);
  if (ticket === undefined) return { kind: 'gone' };
  endTicket(turn, ticket);
  assign(turn);
  return { kind: 'ok' };
}
