import type { EngineMetrics } from '../../core/endpoint.ts';

/**
 * The number of calls that an engine carries, learned from its own queue as TCP learns its window (additive raise,
 * multiplicative cut: Chiu and Jain 1989). Pure. What is not believed changes nothing: a late, a missing, a frozen or an
 * absurd scrape neither stops a pool nor opens it.
 */
export interface LearnedLimit {
  /** 1..AUTO_MAX. */
  readonly limit: number;
  /** Last time that it was cut. */
  readonly cutAtMs: number;
  /** What the last scrape said, and since when it has said exactly that. Null = none came yet. */
  readonly reading: Reading | null;
}

interface Reading {
  readonly running: number;
  readonly waiting: number;
  readonly kvRatio: number;
  readonly sinceMs: number;
}

/** Start of a learned limit: small enough for a 24 GB GPU with a long context, found again within a second. */
export const AUTO_START = 8;
/** vLLM's default --max-num-seqs on data centre GPUs; more would only wait inside the engine. */
export const AUTO_MAX = 256;
const RAISE = 2;
export const CUT_RATIO = 0.8;
/** When more than half of the limit waits, a fifth less would be felt too late. */
const DEEP_CUT_RATIO = 0.5;

/** Requests that may wait inside an engine so that a finished one is replaced within a step. */
const WAITING_TARGET = 2;
/** The engine's queue counts as growing beyond this, or beyond a quarter of the limit. */
const WAITING_HIGH = 4;
/** vLLM preempts running requests at 1.0; leave room for the growth of those that run. */
const KV_CUT_RATIO = 0.95;
const KV_HOLD_RATIO = 0.9;
/** The limit is what holds the load back only if the engine carries at least this share of it. */
const BINDING_RATIO = 0.8;
/** A cut shows in the engine's queue after some requests ended; until then no second one. */
export const CUT_EVERY_MS = 2_000;

/** A scrape that was sent longer ago tells of another load. The scraper itself gives up after a second. */
export const BELIEVED_FOR_MS = 5_000;
/** A loaded engine whose numbers have not moved for so long does not tell how it is. Ours; a decode step takes milliseconds. */
const FROZEN_AFTER_MS = 10_000;
/** No engine has so many requests: a counter under the name of a gauge, or an overflow. */
const ABSURD_REQUESTS = 100_000;

/** After a scrape that was sent at `startedAtMs`. The same object when nothing of it is believed. */
export function learned<S extends LearnedLimit>(
  state: S,
  engine: EngineMetrics,
  startedAtMs: number,
  nowMs: number,
): S {
  if (nowMs - startedAtMs > BELIEVED_FOR_MS || !isPlausible(engine)) return state;
  const reading = nextReading(state.reading, engine, nowMs);
  const known = reading === state.reading ? state : { ...state, reading };
  const load = reading.running + reading.waiting;
  if (load > 0 && nowMs - reading.sinceMs >= FROZEN_AFTER_MS) return known;
  const { limit } = known;
  if (reading.kvRatio >= KV_CUT_RATIO || reading.waiting > Math.max(WAITING_HIGH, limit / 4)) {
    // It was sent before the last cut could show.
    if (startedAtMs - known.cutAtMs < CUT_EVERY_MS) return known;
    const ratio = reading.waiting > Math.max(2 * WAITING_HIGH, limit / 2) ? DEEP_CUT_RATIO : CUT_RATIO;
    return { ...known, limit: Math.max(1, Math.floor(limit * ratio)), cutAtMs: nowMs };
  }
  const isBinding = load >= limit * BINDING_RATIO;
  if (!isBinding || reading.waiting > WAITING_TARGET || reading.kvRatio >= KV_HOLD_RATIO) return known;
  return { ...known, limit: Math.min(AUTO_MAX, limit + RAISE) };
}

/** Where an endpoint begins of which others of its kind have learned theirs: the median of them. */
export function limitAmong(limits: readonly number[]): number {
  if (limits.length === 0) return AUTO_START;
  const sorted = limits.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? AUTO_START;
}

function isPlausible({ runningRequests, waitingRequests, kvUsageRatio = 0 }: EngineMetrics): boolean {
  const counts = [runningRequests, waitingRequests];
  return counts.every((count) => count >= 0 && count < ABSURD_REQUESTS) && kvUsageRatio >= 0 && kvUsageRatio <= 1;
}

function nextReading(before: Reading | null, engine: EngineMetrics, nowMs: number): Reading {
  const { runningRequests: running, waitingRequests: waiting, kvUsageRatio: kvRatio = 0 } = engine;
  const isSame = before?.running === running && before.waiting === waiting && before.kvRatio === kvRatio;
  return isSame ? before : { running, waiting, kvRatio, sinceMs: nowMs };
}
