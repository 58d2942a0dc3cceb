const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;
/** A server that ran this long before it crashed is not in a crash loop. */
const STABLE_MS = 60_000;

/** Wait before the next restart: 1 s, doubled by each crash in a row up to a minute, 1 s again after a stable run. */
export function restartDelayMs(previousDelayMs: number, ranForMs: number): number {
  if (previousDelayMs === 0 || ranForMs >= STABLE_MS) return FIRST_DELAY_MS;
  return Math.min(LONGEST_DELAY_MS, previousDelayMs * 2);
}
