import type { Eviction, Grant, Mail, Offer, PoolHint, Stamp } from './ops.ts';
import { getOrMake, type LedgerState, type Ticket } from './state.ts';

/** One list of operations being executed: the state, the instant, and what has to be told to whom afterwards. */
export interface Turn {
  readonly state: LedgerState;
  readonly owner: string;
  readonly nowMs: number;
  readonly nowUs: number;
  readonly reach: readonly string[];
  readonly grants: Grant[];
  readonly mail: Map<string, { offers: Offer[]; evictions: Eviction[] }>;
  readonly hints: Set<PoolHint>;
  /** The ticket being admitted, and where its owner would have it run: when its turn comes at once, it runs. */
  entering: { readonly ticket: Ticket; readonly ranking: readonly string[] } | null;
  /** Tickets that may still be moved aside because they were met where they cannot run. */
  movesLeft: number;
  /** Tickets that assigns may still put in their places anew because they aged or their rules changed. */
  placingsLeft: number;
  /** The caller has left; nothing more is done for it. */
  hasLeft: boolean;
}

/** The next stamp: the time in microseconds, or one more than the last if that is not later. */
export function nextStamp(turn: Turn): number {
  turn.state.stamp = Math.max(turn.state.stamp + 1, turn.nowUs);
  return turn.state.stamp;
}

export function stampText(stamp: number): Stamp {
  return stamp.toFixed(0);
}

export function isRecovering(state: LedgerState): boolean {
  return state.recoverUntilMs > 0;
}

export function tellOffer(turn: Turn, owner: string, offer: Offer): void {
  mailOf(turn, owner).offers.push(offer);
}

/** All offers an owner has, instead of those made in this turn. */
export function replaceOffers(turn: Turn, owner: string, offers: Offer[]): void {
  mailOf(turn, owner).offers = offers;
}

export function tellEviction(turn: Turn, owner: string, eviction: Eviction): void {
  mailOf(turn, owner).evictions.push(eviction);
}

export function takeMail(turn: Turn, owner: string): Mail {
  const mail = turn.mail.get(owner) ?? { offers: [], evictions: [] };
  turn.mail.delete(owner);
  return mail;
}

function mailOf(turn: Turn, owner: string) {
  return getOrMake(turn.mail, owner, () => ({ offers: [], evictions: [] }));
}
