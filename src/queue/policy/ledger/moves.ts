import { place, unplace } from './places.ts';
import { agedBand, doesAnyAge } from './rules.ts';
import type { LedgerState, Ticket } from './state.ts';
import type { Turn } from './turn.ts';

/** Bounds of one assign, beside that of its turn; the next goes on. */
const MAX_AGED = 64;
const MAX_REPLACED = 256;

/** Its tickets stand where its rules want them, from the next assigns on. */
export function replaceAll(state: LedgerState, objective: string): void {
  for (const index of ['held', 'intake']) state.replacing.set(`${index}:${objective}`, 0);
}

export function replace(state: LedgerState, ticket: Ticket): void {
  unplace(state, ticket);
  place(state, ticket);
}

/** Puts some tickets of objectives with other rules in their places, the longest waiting first. */
export function replaceSome(turn: Turn): void {
  const { state } = turn;
  let left = Math.min(MAX_REPLACED, turn.placingsLeft);
  for (const name of [...state.replacing.keys()].sort()) {
    if (left <= 0) return;
    const split = name.indexOf(':');
    const book = state.books.get(name.slice(split + 1));
    const index = name.slice(0, split) === 'held' ? book?.held : book?.intake;
    const ids = index?.after(state.replacing.get(name) ?? 0, left) ?? [];
    for (const id of ids) {
      const ticket = state.tickets.get(id);
      if (ticket !== undefined) replace(state, ticket);
    }
    const last = ids.at(-1);
    if (last === undefined || ids.length < left) state.replacing.delete(name);
    else state.replacing.set(name, index?.score(last) ?? 0);
    left -= ids.length;
    turn.placingsLeft -= ids.length;
  }
}

/** Moves tickets that have waited as long as their objective allows into the highest band. */
export function ageSome(turn: Turn): void {
  const { state, nowMs } = turn;
  if (!doesAnyAge(state) || turn.placingsLeft <= 0) return;
  const ids = state.aging.upTo(nowMs, Math.min(MAX_AGED, turn.placingsLeft));
  turn.placingsLeft -= ids.length;
  for (const id of ids) {
    const ticket = state.tickets.get(id);
    state.aging.delete(id);
    if (ticket === undefined) continue;
    unplace(state, ticket);
    ticket.band = agedBand(state, ticket.band);
    place(state, ticket);
  }
}
