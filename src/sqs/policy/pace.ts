/** SQS lets nobody see a message for at most so long, and lets nobody hold one for longer in all. */
export const MAX_HELD_MS = 12 * 3_600_000;
/** Handed back before SQS ends it: whoever has it next meets the same job. */
export const HOLD_AT_MOST_MS = MAX_HELD_MS - 1_800_000;

const FIRST_AGAIN_MS = 15_000;
const LONGEST_AGAIN_MS = 900_000;

/** When a message that could not be taken over is seen again: later each time, never all at once. `random` in [0, 1). */
export function seenAgainAfterMs(receiveCount: number, random: number): number {
  const doublings = Math.min(Math.max(receiveCount - 1, 0), 10);
  const longestMs = Math.min(LONGEST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** doublings);
  return Math.round(longestMs * (0.5 + random / 2));
}

const FIRST_TRY_MS = 500;
const LONGEST_TRY_MS = 15_000;

/** Before the next try while a message is kept; `wishedMs` is what the refusal asked for. */
export function tryAgainAfterMs(tries: number, wishedMs: number | null, random: number): number {
  const ownMs = FIRST_TRY_MS * 2 ** Math.min(tries, 10);
  return Math.min(LONGEST_TRY_MS, Math.max(ownMs, wishedMs ?? 0)) * (0.75 + random / 4);
}

/** Visibility timeouts are whole seconds. */
export function visibilitySeconds(visibilityMs: number): number {
  return Math.min(Math.ceil(visibilityMs / 1_000), MAX_HELD_MS / 1_000);
}
