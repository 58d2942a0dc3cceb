import { isPaused, reservingRules } from './rules.ts';
import { openSlots } from './slots.ts';
import type { Turn } from './turn.ts';

/**
 * Free slots that tickets of this band have to leave: of each higher objective with a reservation, what it does not use
 * of its percentage of the open slots, until nothing of it came for its lapse; nothing while it is paused.
 */
export function reservedAbove({ state, nowMs }: Pick<Turn, 'state' | 'nowMs'>, band: number): number {
  let reserved = 0;
  for (const rule of reservingRules(state)) {
    if (rule.priority <= band || isPaused(state, rule.objective)) continue;
    const book = state.books.get(rule.objective);
    if (book === undefined || book.lastArrivedAtMs + rule.reservedLapseMs <= nowMs) continue;
    reserved += Math.max(0, Math.ceil((rule.reservedSlotsPercent * openSlots(state)) / 100) - book.slots);
  }
  return reserved;
}
