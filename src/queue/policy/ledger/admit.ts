import { assign } from './assign.ts';
import { refusal } from './budget.ts';
import { makeRoom } from './displace.ts';
import { isAtLimit } from './flows.ts';
import { newTicket } from './new-ticket.ts';
import type { AdmitOp, AdmitReply } from './ops.ts';
import { outcomeOf } from './outcome-of.ts';
import { reservedAbove } from './reserved.ts';
import { isPaused } from './rules.ts';
import { bestRanked, openSlots, totalFree } from './slots.ts';
import { bookOf, type Ticket } from './state.ts';
import { addTicket, endTicket, startRun, takeSlot } from './tickets.ts';
import { isRecovering, nextStamp, stampText, type Turn } from './turn.ts';
import { enqueue, positionOf } from './waiting.ts';

/** Lets a ticket in: it runs at once on a slot that is owed to nobody or to itself, waits at its place, or is refused. */
export function admit(turn: Turn, op: AdmitOp): AdmitReply {
  const { state } = turn;
  const stored = op.kind === 'stored' ? outcomeOf(turn, op.id) : undefined;
  if (stored !== undefined) return { kind: 'done', stored };
  const existing = state.tickets.get(op.id);
  if (existing !== undefined) return { kind: 'live', owner: existing.owner };
  const { expiresAtMs, expiryStops = false, deadlineMs = 0 } = op;
  const isLate = (atMs: number) => atMs > 0 && atMs <= turn.nowMs;
  if (isLate(expiresAtMs) || (expiryStops && expiresAtMs > 0 && isLate(deadlineMs))) return { kind: 'expired' };

  const endpointId = slotOwedToNobody(turn, op);
  if (endpointId !== undefined) return runAtOnce(turn, op, endpointId);
  if (op.kind === 'held' && refusal(state, op) !== undefined) {
    if (totalFree(state) > 0) {
      const ticket = enter(turn, op);
      if (ticket.state !== 'waiting') {
        countArrival(turn, op);
        return entered(turn, ticket);
      }
      endTicket(turn, ticket);
    }
    const rejected = makeRoom(turn, op);
    if (rejected !== undefined) return rejected;
  }
  countArrival(turn, op);
  return entered(turn, enter(turn, op));
}

/** A call runs at once if nothing that may run waits, and neither its tenant's limit nor a reservation is in its way. */
function slotOwedToNobody(turn: Turn, op: AdmitOp): string | undefined {
  const { state } = turn;
  if (isRecovering(state) || state.isAssignOwed || state.queueOrder.size > 0) return undefined;
  if (isPaused(state, op.objective) || totalFree(state) <= reservedAbove(turn, op.priority)) return undefined;
  const { fairnessId = '', maxConcurrency = 0 } = op;
  if (isAtLimit(state, { fairnessId, maxConcurrency })) return undefined;
  return bestRanked(state, { classKey: op.classKey, excluded: [] }, op.ranking);
}

function countArrival({ state, nowMs }: Turn, op: AdmitOp): void {
  const book = bookOf(state, op.objective);
  book.priority = op.priority;
  book.lastArrivedAtMs = nowMs;
  if (op.kind === 'held') book.arrivedTotal += 1;
  state.activityEpoch += 1;
}

function arrivingTicket(turn: Turn, op: AdmitOp): Ticket {
  const stamp = nextStamp(turn);
  const tag = op.arrivedAtMs > 0 ? Math.min(stamp, op.arrivedAtMs * 1000) : stamp;
  const from = { tag, queuedAtMs: turn.nowMs, owner: turn.owner, endpointId: '', excluded: [], attempt: 0, sinceMs: 0 };
  const ticket = newTicket(turn, op, from);
  addTicket(turn, ticket);
  return ticket;
}

function runAtOnce(turn: Turn, op: AdmitOp, endpointId: string): AdmitReply {
  countArrival(turn, op);
  const ticket = arrivingTicket(turn, op);
  takeSlot(turn.state, ticket, endpointId);
  ticket.token = nextStamp(turn);
  startRun(turn, ticket);
  return runReply(ticket);
}

/** It waits at its place, unless it is its turn already. */
function enter(turn: Turn, op: AdmitOp): Ticket {
  const ticket = arrivingTicket(turn, op);
  enqueue(turn.state, ticket);
  turn.entering = { ticket, ranking: op.ranking };
  assign(turn);
  turn.entering = null;
  return ticket;
}

function entered(turn: Turn, ticket: Ticket): AdmitReply {
  const { state } = turn;
  if (ticket.state === 'running') return runReply(ticket);
  // No pool is woken for work that gets no slot.
  const asleep = openSlots(state) === 0 && !isPaused(state, ticket.objective);
  if (asleep) turn.hints.add('wake');
  const position = ticket.state === 'waiting' ? positionOf(state, ticket) : 0;
  return { kind: 'queued', position, tag: stampText(ticket.tag), asleep };
}

function runReply({ endpointId, token, tag }: Ticket): AdmitReply {
  return { kind: 'run', endpointId, token: stampText(token), tag: stampText(tag) };
}
