import { assign } from './assign.ts';
import type { TakeOp, TakeReply } from './ops.ts';
import { bestRanked, hold, unhold } from './slots.ts';
import type { Ticket } from './state.ts';
import { ownTicket, startRun } from './tickets.ts';
import { stampText, type Turn } from './turn.ts';

/** Turns an offer into a run, on the best endpoint of the ranking that is free at this moment. */
export function take(turn: Turn, op: TakeOp): TakeReply {
  const { state } = turn;
  const ticket = ownTicket(turn, op.id);
  if (ticket === undefined) return { kind: 'gone' };
  if (ticket.state !== 'offered' || stampText(ticket.token) !== op.token) return { kind: 'stale' };

  const endpointId = chooseEndpoint(turn, ticket, op.ranking);
  if (endpointId === undefined) return { kind: 'unranked' };
  state.offers.get(ticket.owner)?.delete(ticket.id);
  const isSwap = endpointId !== ticket.endpointId;
  if (isSwap) {
    unhold(state, ticket.endpointId, ticket.id);
    hold(state, endpointId, ticket.id);
    ticket.endpointId = endpointId;
  }
  startRun(turn, ticket);
  if (isSwap) assign(turn);
  return { kind: 'run', endpointId, attempt: ticket.attempt, waitedMs: turn.nowMs - ticket.queuedAtMs };
}

/** The offered endpoint is free to its own ticket. */
function chooseEndpoint({ state }: Turn, ticket: Ticket, ranking: readonly string[]): string | undefined {
  const offeredAt = ranking.indexOf(ticket.endpointId);
  const better = offeredAt < 0 ? ranking : ranking.slice(0, offeredAt);
  return bestRanked(state, ticket, better) ?? ranking[offeredAt];
}
