import { assign } from './assign.ts';
import { removeDemand } from './demand.ts';
import { announce } from './outbox.ts';
import { outcomeOf } from './outcome-of.ts';
import { bookOf } from './state.ts';
import type { OutcomesOp, OutcomesReply, SettleOp, SettleReply } from './stored-ops.ts';
import { correct, endTicket, evict } from './tickets.ts';
import { stampText, type Turn, tellEviction } from './turn.ts';

/**
 * Writes the outcome unless there is one, and with it the entry in the outbox; ends the demand, and ends the ticket as
 * far as that is the caller's to do.
 */
export function settle(turn: Turn, op: SettleOp): SettleReply {
  const { state } = turn;
  const already = outcomeOf(turn, op.id);
  if (already === undefined) {
    const text = `{"atEpochMs":${turn.nowMs},"recordRef":${op.recordRef},"outcome":${op.outcome}}`;
    state.outcomes.set(op.id, { text, untilMs: turn.nowMs + state.timing.outcomeRetentionMs });
    bookOf(state, op.objective).settledTotal += 1;
    if (op.announced || state.demand.get(op.id)?.isAnnounced) announce(turn, op.id, op.objective);
  }
  removeDemand(state, op.id);
  settleTicket(turn, op);
  return already === undefined ? { kind: 'settled' } : { kind: 'already', stored: already };
}

export function outcomes(turn: Turn, op: OutcomesOp): OutcomesReply {
  return { kind: 'outcomes', stored: op.ids.map((id) => outcomeOf(turn, id) ?? '') };
}

/** The holder of the grant is done with it; others only take back what has not begun, and tell the one who runs it. */
function settleTicket(turn: Turn, { id, token, usedTokens }: SettleOp): void {
  const ticket = turn.state.tickets.get(id);
  if (ticket === undefined) return;
  const isActive = ticket.state === 'running' || ticket.state === 'recording';
  if (!isActive) evict(turn, ticket, 'withdrawn');
  else if (ticket.owner === turn.owner && stampText(ticket.token) === token) {
    correct(turn.state, ticket, usedTokens);
    endTicket(turn, ticket);
  } else tellEviction(turn, ticket.owner, { id, reason: 'settled' });
  assign(turn);
}
