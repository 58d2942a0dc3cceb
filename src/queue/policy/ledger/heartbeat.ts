import { hasStored } from './demand.ts';
import { stoppedMs } from './expiry.ts';
import { type HeartbeatOp, type HeartbeatReply, IN_SERVICE, NOT_HERE, type Ok } from './ops.ts';
import { isPaused } from './rules.ts';
import { openSlots } from './slots.ts';
import { sweep } from './sweep.ts';
import { ownTicket } from './tickets.ts';
import { isRecovering, replaceOffers, stampText, type Turn } from './turn.ts';
import { positionOf } from './waiting.ts';

/** A poll that tells more; from now on the owner can be offered something again. */
export function heartbeat(turn: Turn, op: HeartbeatOp): HeartbeatReply {
  const { state, owner } = turn;
  state.missedOffers.delete(owner);
  poll(turn);
  return {
    kind: 'beat',
    tickets: state.ownerTickets.get(owner)?.size ?? 0,
    recovering: isRecovering(state),
    positions: op.check.map((id) => placeOf(turn, id)),
    windows: windows(turn),
    stoppedMs: stoppedMs(turn),
  };
}

/** The owner lives. The safety tick, and every offer that this owner has not answered. */
export function poll(turn: Turn): Ok {
  const { state, owner } = turn;
  state.owners.add(owner, turn.nowMs);
  sweep(turn);
  const offered = (state.offers.get(owner)?.ids() ?? []).flatMap((id) => state.tickets.get(id) ?? []);
  const offers = offered.map(({ id, endpointId, token }) => ({ id, endpointId, token: stampText(token) }));
  replaceOffers(turn, owner, offers);
  return { kind: 'ok' };
}

function placeOf(turn: Turn, id: string): number {
  const ticket = ownTicket(turn, id);
  if (ticket === undefined) return NOT_HERE;
  return ticket.state === 'waiting' ? positionOf(turn.state, ticket) : IN_SERVICE;
}

/**
 * How many stored requests of each objective this owner should have in the live order: together twice the slots that
 * are or soon will be open, shared among the executing owners, at least 1. The live order decides the order, so
 * objectives need not split it. Nothing while the pool sleeps or recovers, and nothing of what is paused.
 */
function windows({ state, owner }: Turn): { objective: string; requests: number }[] {
  const slots = openSlots(state) + state.soonSlots;
  if (slots === 0 || isRecovering(state) || !state.executors.has(owner)) return [];
  const requests = Math.max(1, Math.ceil((2 * slots) / state.executors.size));
  const objectives = [...state.books]
    .filter(([objective, book]) => hasStored(book) && !isPaused(state, objective))
    .map(([objective]) => objective);
  return objectives.sort().map((objective) => ({ objective, requests }));
}
