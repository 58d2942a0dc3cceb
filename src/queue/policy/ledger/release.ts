import { assign } from './assign.ts';
import type { FinishOp, Gone, Ok, ReleaseOp, RequeueOp, RequeueReply, WithdrawOp } from './ops.ts';
import { bookOf } from './state.ts';
import { correct, endTicket, grantedTicket, ownTicket, stopRun, waitAgain } from './tickets.ts';
import type { Turn } from './turn.ts';
import { positionOf } from './waiting.ts';

/** Endpoints that one ticket remembers as failed; the oldest is forgotten. */
const MAX_EXCLUDED = 8;

/** running → recording. */
export function release(turn: Turn, op: ReleaseOp): Ok | Gone {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running') return { kind: 'gone' };
  correct(turn.state, ticket, op.usedTokens);
  stopRun(turn, ticket);
  assign(turn);
  return { kind: 'ok' };
}

/** running or recording → done, for a held call or a row. */
export function finish(turn: Turn, op: FinishOp): Ok | Gone {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running' && ticket?.state !== 'recording') return { kind: 'gone' };
  correct(turn.state, ticket, op.usedTokens);
  endTicket(turn, ticket);
  bookOf(turn.state, ticket.objective).settledTotal += 1;
  assign(turn);
  return { kind: 'ok' };
}

/** running → waiting at the old place. What it held counts neither as a release nor as slot time. */
export function requeue(turn: Turn, op: RequeueOp): RequeueReply {
  const ticket = grantedTicket(turn, op.id, op.token);
  if (ticket?.state !== 'running') return { kind: 'gone' };
  const isNew = op.exclude !== '' && !ticket.excluded.includes(op.exclude);
  if (isNew) ticket.excluded = [...ticket.excluded, op.exclude].slice(-MAX_EXCLUDED);
  waitAgain(turn, ticket);
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
