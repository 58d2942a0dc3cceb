import type { Turn } from './turn.ts';

/** The outcome as it was written, or undefined. */
export function outcomeOf({ state, nowMs }: Turn, id: string): string | undefined {
  const outcome = state.outcomes.get(id);
  return outcome !== undefined && outcome.untilMs > nowMs ? outcome.text : undefined;
}
