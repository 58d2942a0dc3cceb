import type { ObjectiveDemand } from '../../core/live-order.ts';

/** Learns how long one request of an objective holds a slot. */
export interface WorkEstimate {
  readonly lastReleased: number | null;
  readonly lastSlotMs: number;
  /** Decayed sums over releases that were seen while the pool was busy. */
  readonly slotMs: number;
  readonly requests: number;
}

/** A pool is busy at this share of its slots: below it a request has the engine to itself and is faster than normal. */
export const BUSY_RATIO = 0.8;
const ENOUGH_REQUESTS = 50;
/** Older requests fade once this many are in the mean. */
const REMEMBERED_REQUESTS = 500;

export const newWorkEstimate: WorkEstimate = { lastReleased: null, lastSlotMs: 0, slotMs: 0, requests: 0 };

/** Adds the releases since the last look, if the pool was busy (used slots ≥ 80 %). */
export function observeWork(estimate: WorkEstimate, demand: ObjectiveDemand, usedRatio: number): WorkEstimate {
  const { releasedTotal, slotMsTotal } = demand;
  const base = { lastReleased: releasedTotal, lastSlotMs: slotMsTotal };
  const requests = estimate.lastReleased === null ? 0 : releasedTotal - estimate.lastReleased;
  const slotMs = slotMsTotal - estimate.lastSlotMs;
  if (requests <= 0 || slotMs < 0 || usedRatio < BUSY_RATIO) return { ...estimate, ...base };
  const total = estimate.requests + requests;
  const keep = Math.min(1, REMEMBERED_REQUESTS / total);
  return { ...base, slotMs: (estimate.slotMs + slotMs) * keep, requests: total * keep };
}

/** Mean slot-milliseconds of one request; the prior until 50 were measured. At least 1. */
export function slotMsPerRequest(estimate: WorkEstimate, priorMs: number): number {
  if (estimate.requests < ENOUGH_REQUESTS) return Math.max(1, priorMs);
  return Math.max(1, estimate.slotMs / estimate.requests);
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
