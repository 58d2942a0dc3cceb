/** Leased ahead of need: what this replica uses in so long. */
const AHEAD_S = 0.5;
/** And no more than this part of the limit; below so many a minute nothing is leased ahead, so that it is exact. */
export const LEAST_LIMIT_AHEAD = 32;
/** Use is forgotten by half in so long. */
const HALF_LIFE_MS = 5_000;

/** How much was used lately; an exponentially decaying sum. */
export interface RecentUse {
  readonly units: number;
  readonly atMs: number;
}

export const NO_USE: RecentUse = { units: 0, atMs: 0 };

export function afterUse({ units, atMs }: RecentUse, used: number, nowMs: number): RecentUse {
  return { units: units * 2 ** (-Math.max(0, nowMs - atMs) / HALF_LIFE_MS) + used, atMs: nowMs };
}

/** The most that one replica holds of a quota without a request for it. */
export function mostAhead(limitPerMinute: number): number {
  return Math.floor(limitPerMinute / LEAST_LIMIT_AHEAD);
}

/** How many units a replica should hold ahead of need. */
export function unitsAhead(recent: RecentUse, limitPerMinute: number, nowMs: number): number {
  const unitsAS = (afterUse(recent, 0, nowMs).units * Math.LN2 * 1_000) / HALF_LIFE_MS;
  return Math.min(mostAhead(limitPerMinute), Math.floor(unitsAS * AHEAD_S));
}
