import type { WaitReason } from '../../../core/live-order.ts';
import type { FindOp, ListOp, ListReply, TicketLine } from './control-ops.ts';
import { expiryAtMs } from './expiry.ts';
import { isAtLimit } from './flows.ts';
import { isOfferable } from './pick.ts';
import { reservedAbove } from './reserved.ts';
import { isPaused } from './rules.ts';
import { freest, mayUse, openSlots, totalFree } from './slots.ts';
import type { LedgerState, ObjectiveBook, Ticket } from './state.ts';
import type { Turn } from './turn.ts';
import { positionOf } from './waiting.ts';

/** Most tickets in one answer. */
export const MAX_LISTED = 500;
/** Waiting tickets looked at for one answer, over all objectives: of a tenant behind more than these none is found. */
const MAX_LOOKS = 4_000;
const MIN_LOOKS_PER_OBJECTIVE = 64;

/** Tickets that wait, by arrival, then those that hold a slot. What records its result is only found by its id. */
export function list(turn: Turn, op: ListOp): ListReply {
  const limit = Math.min(op.limit, MAX_LISTED);
  const isAsked = (ticket: Ticket) =>
    (op.objective === '' || ticket.objective === op.objective) &&
    (op.fairnessId === '' || ticket.fairnessId === op.fairnessId);
  const tickets = waitingByArrival(turn.state, op.objective).filter(isAsked).slice(0, limit);
  if (tickets.length < limit)
    tickets.push(
      ...inService(turn.state)
        .filter(isAsked)
        .slice(0, limit - tickets.length),
    );
  return { kind: 'listed', tickets: tickets.map((ticket) => lineOf(turn, ticket)) };
}

export function find(turn: Turn, op: FindOp): ListReply {
  const ticket = turn.state.tickets.get(op.id);
  return { kind: 'listed', tickets: ticket === undefined ? [] : [lineOf(turn, ticket)] };
}

function waitingByArrival(state: LedgerState, objective: string): Ticket[] {
  const books: ObjectiveBook[] =
    objective === '' ? [...state.books.values()] : [state.books.get(objective)].filter((book) => book !== undefined);
  const looks = Math.max(MIN_LOOKS_PER_OBJECTIVE, Math.floor(MAX_LOOKS / Math.max(1, 2 * books.length)));
  const entries = books.flatMap(({ held, intake }) =>
    [held, intake].flatMap((waiting) => {
      const count = Math.min(looks, waiting.size);
      return Array.from({ length: count }, (_, index) => waiting.at(index) ?? { score: 0, id: '' });
    }),
  );
  entries.sort((a, b) => a.score - b.score || (a.id < b.id ? -1 : 1));
  return entries.slice(0, MAX_LOOKS).flatMap(({ id }) => state.tickets.get(id) ?? []);
}

/** In order of arrival. */
function inService(state: LedgerState): Ticket[] {
  const tickets = [...state.used.values()].flatMap((ids) => [...ids].flatMap((id) => state.tickets.get(id) ?? []));
  return tickets.sort((a, b) => a.tag - b.tag || (a.id < b.id ? -1 : 1));
}

function lineOf(turn: Turn, ticket: Ticket): TicketLine {
  const { id, kind, objective, priority, fairnessId, state, owner, attempt, costTokens } = ticket;
  const waits = state === 'waiting';
  return {
    ...{ id, kind, objective, priority, fairnessId, state, owner, attempt, costTokens },
    position: waits ? positionOf(turn.state, ticket) : -1,
    reason: waits ? reasonOf(turn, ticket) : '',
    endpointId: waits ? '' : ticket.endpointId,
    queuedAtEpochMs: ticket.queuedAtMs,
    expiresAtEpochMs: expiryAtMs(turn, ticket),
  };
}

/** The first of WAIT_REASONS that holds. */
function reasonOf(turn: Turn, ticket: Ticket): WaitReason {
  const { state } = turn;
  if (isPaused(state, ticket.objective)) return 'paused';
  if (openSlots(state) === 0) return 'no_capacity';
  const isServed = state.endpoints.some((endpoint) => endpoint.slots > 0 && mayUse(state, ticket, endpoint));
  if (!isServed) return 'no_endpoint_for_class';
  if (isAtLimit(state, ticket)) return 'tenant_concurrency';
  const isKept = freest(state, ticket) !== undefined && totalFree(state) <= reservedAbove(turn, ticket.band);
  if (isKept) return 'reserved';
  return isOfferable(turn, ticket.owner) ? 'order' : 'owner_silent';
}
