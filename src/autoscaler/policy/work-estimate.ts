import type { ObjectiveDemand } from '../../core/live-order.ts';

/** Learns how long one request of an objective holds a slot. */
export interface WorkEstimate {
  readonly lastReleased: number | null;
  readonly lastSlotMs: number;
  readonly lastCostTokens: number;
  /** Decayed sums over releases that were seen while the pool was busy. */
  readonly slotMs: number;
  readonly requests: number;
  /** What they were estimated at; 0 = not known. */
  readonly costTokens: number;
}

/** A pool is busy at this share of its slots: below it a request has the engine to itself and is faster than normal. */
export const BUSY_RATIO = 0.8;
const ENOUGH_REQUESTS = 50;
/** Older requests fade once this many are in the mean. */
const REMEMBERED_REQUESTS = 500;
/**
 * Tokens are estimates of callers (`max_tokens` is often set far too high): work of another size than what was measured
 * is taken to be at most so many times larger or smaller, until it is measured itself.
 */
const MOST_TOKEN_RATIO = 4;

export const newWorkEstimate: WorkEstimate = {
  ...{ lastReleased: null, lastSlotMs: 0, lastCostTokens: 0 },
  ...{ slotMs: 0, requests: 0, costTokens: 0 },
};

/** Adds the releases since the last look, if the pool was busy (used slots ≥ 80 %). */
export function observeWork(estimate: WorkEstimate, demand: ObjectiveDemand, usedRatio: number): WorkEstimate {
  const { releasedTotal, slotMsTotal, releasedCostTokensTotal } = demand;
  const base = { lastReleased: releasedTotal, lastSlotMs: slotMsTotal, lastCostTokens: releasedCostTokensTotal };
  const requests = estimate.lastReleased === null ? 0 : releasedTotal - estimate.lastReleased;
  const slotMs = slotMsTotal - estimate.lastSlotMs;
  if (requests <= 0 || slotMs < 0 || usedRatio < BUSY_RATIO) return { ...estimate, ...base };
  const total = estimate.requests + requests;
  const keep = Math.min(1, REMEMBERED_REQUESTS / total);
  const costTokens = estimate.costTokens + Math.max(0, releasedCostTokensTotal - estimate.lastCostTokens);
  return {
    ...base,
    slotMs: (estimate.slotMs + slotMs) * keep,
    requests: total * keep,
    costTokens: costTokens * keep,
  };
}

/**
 * Mean slot-milliseconds of one request; the prior until 50 were measured. With `costTokens`, of a request estimated at
 * that many: as many times the mean as it has tokens, within a factor of four. At least 1.
 */
export function slotMsPerRequest(estimate: WorkEstimate, priorMs: number, costTokens: number | null = null): number {
  if (estimate.requests < ENOUGH_REQUESTS) return Math.max(1, priorMs);
  const meanMs = estimate.slotMs / estimate.requests;
  const meanTokens = estimate.costTokens / estimate.requests;
  const ratio = costTokens === null || costTokens <= 0 || meanTokens <= 0 ? 1 : costTokens / meanTokens;
  return Math.max(1, meanMs * Math.min(MOST_TOKEN_RATIO, Math.max(1 / MOST_TOKEN_RATIO, ratio)));
}

const USE_HALF_LIFE_MS = 600_000;
export const PRIOR_SLOT_USE_RATIO = 0.8;

/**
 * The share of its slots that a full pool really uses (gaps between two requests are lost), decayed with a half-life of
 * ten minutes. Taken from the slots in use at each look, which is right at once and not only after the first releases.
 */
export function observeSlotUse(ratio: number, usedRatio: number, elapsedMs: number): number {
  if (usedRatio < BUSY_RATIO) return ratio;
  const keep = 0.5 ** (elapsedMs / USE_HALF_LIFE_MS);
  return keep * ratio + (1 - keep) * Math.min(1, usedRatio);
}
