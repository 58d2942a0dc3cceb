import { openSlots } from './slots.ts';
import type { LedgerState, Ticket } from './state.ts';
import type { Turn } from './turn.ts';

/**
 * Tickets expire by one of two clocks: the wall's, or one that stands still while the pool has no open slot. The second is
 * the first less the time without slots, which the ledger sums up; so an expiry is one number on either, set once when
 * the ticket comes, however often the pool sleeps.
 *
 * Owners end waits on the wall's clock themselves, so that the ledger keeps no index of them: it only grants nothing to a
 * ticket that has expired. The other clock is known to the ledger alone.
 */

/** How long the pool has had no open slot, all times together. */
export function stoppedMs({ state, nowMs }: Pick<Turn, 'state' | 'nowMs'>): number {
  return state.stoppedMs + (state.stoppedSinceMs > 0 ? nowMs - state.stoppedSinceMs : 0);
}

/** Run by whatever may have opened the first slot or closed the last. */
export function noteCapacity(turn: Turn): void {
  const { state, nowMs } = turn;
  const isStopped = openSlots(state) === 0;
  if (isStopped === state.stoppedSinceMs > 0) return;
  state.stoppedMs = stoppedMs(turn);
  state.stoppedSinceMs = isStopped ? nowMs : 0;
}

/** What a ticket keeps of an expiry that its owner gives as an instant. */
export function keptExpiry(turn: Turn, expiresAtMs: number, stops: boolean): number {
  return stops && expiresAtMs > 0 ? stoppedMs(turn) - expiresAtMs : expiresAtMs;
}

/** The instant at which a ticket expires if nothing changes; 0 = never. */
export function expiryAtMs(turn: Turn, { expiresAtMs }: Ticket): number {
  return expiresAtMs < 0 ? stoppedMs(turn) - expiresAtMs : expiresAtMs;
}

export function hasExpired(turn: Turn, ticket: Ticket): boolean {
  const { expiresAtMs, deadlineMs } = ticket;
  const atMs = expiryAtMs(turn, ticket);
  return (atMs > 0 && atMs <= turn.nowMs) || (expiresAtMs < 0 && deadlineMs > 0 && deadlineMs <= turn.nowMs);
}

export function trackExpiry(state: LedgerState, { id, expiresAtMs }: Ticket): void {
  if (expiresAtMs < 0) state.stopExpiries.add(id, -expiresAtMs);
}

export function untrackExpiry(state: LedgerState, { id }: Ticket): void {
  state.stopExpiries.delete(id);
}

/** Waiting tickets that have expired by the clock that stands still, `limit` at most. */
export function expiredIds(turn: Turn, limit: number): string[] {
  return turn.state.stopExpiries.upTo(turn.nowMs - stoppedMs(turn), limit);
}
