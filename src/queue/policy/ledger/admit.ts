import { assign } from './assign.ts';
import { refusal } from './budget.ts';
import { ticketFields } from './new-ticket.ts';
import type { AdmitOp, AdmitReply } from './ops.ts';
import { outcomeOf } from './outcome-of.ts';
import { bestRanked, hold, openSlots } from './slots.ts';
import { bookOf, type LedgerState, type Ticket } from './state.ts';
import { addTicket, startRun } from './tickets.ts';
import { isRecovering, nextStamp, stampText, type Turn } from './turn.ts';
import { enqueue, positionOf } from './waiting.ts';

/** Lets a ticket in: it runs at once on a slot owed to nobody, waits at its place, or is refused. */
export function admit(turn: Turn, op: AdmitOp): AdmitReply {
  const { state } = turn;
  const stored = op.kind === 'stored' ? outcomeOf(turn, op.id) : undefined;
  if (stored !== undefined) return { kind: 'done', stored };
  const existing = state.tickets.get(op.id);
  if (existing !== undefined) return { kind: 'live', owner: existing.owner };
  if (op.expiresAtMs > 0 && op.expiresAtMs <= turn.nowMs) return { kind: 'expired' };

  const endpointId = slotOwedToNobody(turn, op);
  if (endpointId === undefined && op.kind === 'held') {
    const rejected = refusal(state, op.objective, op.bytes, op.limits);
    if (rejected !== undefined) return rejected;
  }
  countArrival(state, op);
  const ticket = newTicket(turn, op);
  addTicket(turn, ticket);
  return endpointId === undefined ? wait(turn, ticket) : run(turn, ticket, endpointId);
}

/**
 * After every assign no waiting ticket could use a free slot, so a free slot is owed to nobody, unless an assign
 * stopped at its bound.
 */
function slotOwedToNobody({ state }: Turn, op: AdmitOp): string | undefined {
  if (isRecovering(state) || state.isAssignOwed) return undefined;
  return bestRanked(state, { classKey: op.classKey, excluded: [] }, op.ranking);
}

function countArrival(state: LedgerState, op: AdmitOp): void {
  const book = bookOf(state, op.objective);
  book.priority = op.priority;
  if (op.kind === 'held') book.arrivedTotal += 1;
  state.activityEpoch += 1;
}

function newTicket(turn: Turn, op: AdmitOp): Ticket {
  const stamp = nextStamp(turn);
  return {
    ...ticketFields(op),
    tag: op.arrivedAtMs > 0 ? Math.min(stamp, op.arrivedAtMs * 1000) : stamp,
    queuedAtMs: turn.nowMs,
    owner: turn.owner,
    state: 'waiting',
    endpointId: '',
    excluded: [],
    attempt: 0,
    token: 0,
    sinceMs: 0,
  };
}

function run(turn: Turn, ticket: Ticket, endpointId: string): AdmitReply {
  hold(turn.state, endpointId, ticket.id);
  ticket.endpointId = endpointId;
  ticket.token = nextStamp(turn);
  startRun(turn, ticket);
  return { kind: 'run', endpointId, token: stampText(ticket.token), tag: stampText(ticket.tag) };
}

function wait(turn: Turn, ticket: Ticket): AdmitReply {
  const { state } = turn;
  enqueue(state, ticket);
  const asleep = openSlots(state) === 0;
  if (asleep) turn.hints.add('wake');
  const position = positionOf(state, ticket);
  assign(turn);
  return { kind: 'queued', position, tag: stampText(ticket.tag), asleep };
}
