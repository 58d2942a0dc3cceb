import { assign } from './assign.ts';
import { lapseBulks } from './bulk.ts';
import { removeDemand } from './demand.ts';
import { dropUnusedEndpoints } from './endpoints.ts';
import { expiredIds } from './expiry.ts';
import { pruneIdleFlows } from './flows.ts';
import { expireQuarantine, quarantineSlot } from './quarantine.ts';
import { endTicket, evict, unoffer } from './tickets.ts';
import { isRecovering, type Turn } from './turn.ts';

/** Bounds of one sweep; the next goes on. */
export const MAX_REAPED_TICKETS = 1_000;
const MAX_LAPSED_OFFERS_PER_OWNER = 1_000;
const MAX_EXPIRED = 1_000;
const MAX_LAPSED_RESERVATIONS = 256;

/** What time has done: dead owners, lapsed offers, expired tickets, quarantine, reservations and bulks; then assign. */
export function sweep(turn: Turn): void {
  if (!isRecovering(turn.state)) {
    reapDeadOwners(turn);
    lapseOffers(turn);
  }
  expireTickets(turn);
  expireQuarantine(turn);
  for (const id of turn.state.reservations.upTo(turn.nowMs, MAX_LAPSED_RESERVATIONS)) removeDemand(turn.state, id);
  lapseBulks(turn);
  for (const band of turn.state.bands.values()) pruneIdleFlows(band);
  dropUnusedEndpoints(turn.state);
  assign(turn);
}

/**
 * Takes the owner's tickets out of the order, `limit` at most, and forgets the owner when none is left. Slots on which
 * something runs go into quarantine. Returns how many tickets it took.
 */
export function reap(turn: Turn, owner: string, limit: number): number {
  const { state } = turn;
  const ids = [...(state.ownerTickets.get(owner) ?? [])].slice(0, limit);
  for (const id of ids) {
    const ticket = state.tickets.get(id);
    if (ticket === undefined) continue;
    if (ticket.state === 'running') quarantineSlot(turn, ticket);
    endTicket(turn, ticket);
  }
  if ((state.ownerTickets.get(owner)?.size ?? 0) === 0) forgetOwner(turn, owner);
  return ids.length;
}

function reapDeadOwners(turn: Turn): void {
  const { state, nowMs } = turn;
  // The clock was set back: who is silent since then would else live until it is there again.
  for (const owner of state.owners.ids()) {
    if ((state.owners.score(owner) ?? 0) > nowMs) state.owners.add(owner, nowMs);
  }
  let left = MAX_REAPED_TICKETS;
  for (const owner of state.owners.upTo(nowMs - state.timing.deadOwnerMs, state.owners.size)) {
    if (left === 0) return;
    left -= reap(turn, owner, left);
  }
}

function forgetOwner({ state }: Turn, owner: string): void {
  state.owners.delete(owner);
  state.executors.delete(owner);
  state.missedOffers.delete(owner);
  state.ownerTickets.delete(owner);
  state.offers.delete(owner);
  state.unconfirmed.delete(owner);
}

function lapseOffers(turn: Turn): void {
  const { state, nowMs } = turn;
  for (const owner of state.owners.ids()) {
    const lapsed = state.offers.get(owner)?.upTo(nowMs, MAX_LAPSED_OFFERS_PER_OWNER) ?? [];
    for (const id of lapsed) {
      const ticket = state.tickets.get(id);
      if (ticket !== undefined) unoffer(turn, ticket);
    }
    if (lapsed.length > 0) state.missedOffers.set(owner, (state.missedOffers.get(owner) ?? 0) + lapsed.length);
  }
}

function expireTickets(turn: Turn): void {
  for (const id of expiredIds(turn, MAX_EXPIRED)) {
    const ticket = turn.state.tickets.get(id);
    if (ticket !== undefined) evict(turn, ticket, 'expired');
  }
}
