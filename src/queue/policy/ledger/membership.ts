import { assign } from './assign.ts';
import { noteCapacity, stoppedMs } from './expiry.ts';
import type { LeaveOp, Ok, OpenOp, OpenReply } from './ops.ts';
import { quarantineAll, unquarantineRest } from './quarantine.ts';
import type { LedgerState } from './state.ts';
import { MAX_REAPED_TICKETS, reap } from './sweep.ts';
import { isRecovering, type Turn } from './turn.ts';

/**
 * An owner joins. If another Redis process answers than the one the ledger was last opened on, its live order cannot
 * be trusted: a new incarnation begins, without tickets, and grants nothing until the owners have re-asserted theirs.
 * A ledger that nobody ever knew needs no such wait.
 */
export function open(turn: Turn, op: OpenOp): OpenReply {
  const { state, owner } = turn;
  state.timing = op.timing;
  if (state.runId !== op.runId) {
    const isFresh = state.incarnation === '' && op.previous === '';
    beginIncarnation(turn, op.runId);
    if (isFresh) state.recoverUntilMs = 0;
  }
  state.owners.add(owner, turn.nowMs);
  state.missedOffers.delete(owner);
  if (op.executes) state.executors.add(owner);
  else state.executors.delete(owner);
  noteCapacity(turn);
  return {
    kind: 'opened',
    incarnation: state.incarnation,
    recovering: isRecovering(state),
    stoppedMs: stoppedMs(turn),
  };
}

/** The owner goes. What it still runs is treated as a dead owner's; more tickets than a sweep may take are left to those. */
export function leave(turn: Turn, _op: LeaveOp): Ok {
  reap(turn, turn.owner, MAX_REAPED_TICKETS);
  turn.hasLeft = true;
  assign(turn);
  return { kind: 'ok' };
}

/** Opens the ledger when the wait for the owners is over. Run at the start of every turn. */
export function endRecoveryIfDue(turn: Turn): void {
  if (isRecovering(turn.state) && turn.nowMs >= turn.state.recoverUntilMs) endRecovery(turn);
}

/** One owner has re-asserted; the last of those known before opens the ledger. */
export function hasReasserted(turn: Turn): void {
  const { awaiting } = turn.state;
  if (!awaiting.delete(turn.owner)) return;
  unquarantineRest(turn.state, turn.owner);
  if (awaiting.size === 0 && isRecovering(turn.state)) endRecovery(turn);
}

function endRecovery(turn: Turn): void {
  turn.state.recoverUntilMs = 0;
  turn.state.awaiting.clear();
  turn.hints.add('windows');
  assign(turn);
}

/**
 * Keeps the slots in use, in quarantine, and what is durable: endpoints, rules, pauses, demand, outcomes, totals, what flows
 * have used, how long there were no slots.
 */
function beginIncarnation(turn: Turn, runId: string): void {
  const { state, nowMs } = turn;
  state.runId = runId;
  state.incarnation = `${runId}:${nowMs}`;
  state.recoverUntilMs = nowMs + state.timing.recoveryMs;
  state.awaiting.clear();
  for (const owner of state.owners.ids()) state.awaiting.add(owner);
  state.isAssignOwed = false;
  quarantineAll(turn);
  clearLiveOrder(state);
}

function clearLiveOrder(state: LedgerState): void {
  for (const entry of [state.tickets, state.queues, state.used]) entry.clear();
  for (const entry of [state.executors, state.missedOffers, state.ownerTickets, state.offers, state.unconfirmed]) {
    entry.clear();
  }
  for (const entry of [state.queueOrder, state.aging, state.tenantSlots, state.capped]) entry.clear();
  for (const entry of [state.parked, state.replacing, state.tenantsHeld, state.stopExpiries]) entry.clear();
  for (const band of state.bands.values()) {
    band.waiting = 0;
    for (const [flow, time] of band.flows) band.idle.add(flow, time);
  }
  state.owners.clear();
  for (const book of state.books.values()) {
    book.held.clear();
    book.intake.clear();
    book.heldBytes = 0;
    book.heldCostTokens = 0;
    book.slots = 0;
  }
}
