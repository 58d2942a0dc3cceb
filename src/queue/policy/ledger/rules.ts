import type { RuleLine } from './ops.ts';
import type { LedgerState } from './state.ts';

/** Declared so, or by an operator; its tickets wait in no line. */
export function isPaused(state: LedgerState, objective: string): boolean {
  return state.paused.has(objective) || state.rules.get(objective)?.paused === true;
}

/** What it is called apart in its band. */
export function laneOf(state: LedgerState, objective: string): string {
  return (state.rules.get(objective)?.guaranteedSharePercent ?? 0) > 0 ? objective : '';
}

/** The band of aged tickets: the highest priority of any objective. */
export function agedBand(state: LedgerState, band: number): number {
  return Math.max(band, ...[...state.rules.values()].map(({ priority }) => priority));
}

/** Rules of objectives with a guaranteed share, in order of name. */
export function shareRules(state: LedgerState): RuleLine[] {
  return sorted(state, (rule) => rule.guaranteedSharePercent > 0);
}

/** Rules of objectives for which slots are kept free. */
export function reservingRules(state: LedgerState): RuleLine[] {
  return sorted(state, (rule) => rule.reservedSlotsPercent > 0);
}

export function doesAnyAge(state: LedgerState): boolean {
  return [...state.rules.values()].some((rule) => rule.agingMs > 0);
}

function sorted(state: LedgerState, wanted: (rule: RuleLine) => boolean): RuleLine[] {
  return [...state.rules.values()].filter(wanted).sort((a, b) => (a.objective < b.objective ? -1 : 1));
}
