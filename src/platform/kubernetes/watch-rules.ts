import { type FeedFreshness, KubeApiError } from '../../core/kubernetes.ts';
import type { Random } from '../../core/random.ts';

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 30_000;
/** A server that asks for more is asked again after this. */
const MAX_RETRY_AFTER_MS = 120_000;
/** A watch is renewed all 5 to 10 minutes by client-go; shorter ones find a changed set of servers sooner. */
const WATCH_SECONDS = { min: 240, max: 300 };
/** Servers send a bookmark about each minute; after two without one the connection is dead, whatever TCP says. */
const SILENCE_MS = { min: 120_000, max: 150_000 };
/** A resource that is not there yet is looked for again after this. */
const ABSENT_MS = { min: 10_000, max: 30_000 };
/** A watch that ended sooner did not work, however politely it ended. */
export const SHORT_WATCH_MS = 1_000;
/** A watch that lived this long shows that the trouble is over. */
export const PROVEN_WATCH_MS = 5_000;
/** A gap that a renewed watch closes sooner is no staleness. */
const STALE_AFTER_MS = 3_000;

export type RestartCause =
  | 'ended'
  | 'expired'
  | 'silent'
  | 'unauthorized'
  | 'forbidden'
  | 'throttled'
  | 'unreachable'
  | 'unreadable'
  | 'too_many'
  | 'server_error';

export interface Remedy {
  readonly cause: RestartCause;
  /** What was heard so far cannot be continued from. */
  readonly mustList: boolean;
  /** The API server does not know the resource. */
  readonly isAbsent: boolean;
  readonly retryAfterMs: number;
}

/** What a list or a watch that failed means for the next one. */
export function remedyOf(error: unknown): Remedy {
  const remedy = { mustList: true, isAbsent: false, retryAfterMs: 0 };
  if (!(error instanceof KubeApiError)) return { ...remedy, cause: 'unreadable' };
  const retryAfterMs = Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
  if (error.status === 0) return { ...remedy, cause: 'unreachable', mustList: false };
  if (error.status === 401) return { ...remedy, cause: 'unauthorized', mustList: false };
  if (error.status === 403) return { ...remedy, cause: 'forbidden', mustList: false };
  if (error.status === 404) return { ...remedy, cause: 'server_error', isAbsent: true };
  if (error.status === 410) return { ...remedy, cause: 'expired', retryAfterMs };
  if (error.status === 429 || error.status === 503)
    return { ...remedy, cause: 'throttled', mustList: false, retryAfterMs };
  // 504 is also "resource version too large", after a restore of the server's store.
  return { ...remedy, cause: 'server_error', retryAfterMs };
}

/** Wait before the next attempt: doubles from 250 ms to 30 s, halved at most by chance, never less than the server asked. */
export function backoffMs(failuresInARow: number, retryAfterMs: number, random: Random): number {
  if (failuresInARow === 0) return retryAfterMs;
  const ceilingMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failuresInARow - 1, 20));
  const chance = random.next();
  // Chance on top of Retry-After: those who were refused together must not come back together.
  return Math.max(ceilingMs * (0.5 + chance / 2), retryAfterMs * (1 + chance / 10));
}

export function watchSeconds(random: Random): number {
  return Math.round(between(WATCH_SECONDS, random));
}

export function silenceLimitMs(random: Random): number {
  return between(SILENCE_MS, random);
}

export function absentDelayMs(random: Random): number {
  return between(ABSENT_MS, random);
}

function between({ min, max }: { min: number; max: number }, random: Random): number {
  return min + (max - min) * random.next();
}

/** What is known of one namespace's list and watch. */
export interface FeedHealth {
  readonly hasListed: boolean;
  readonly heardAtEpochMs: number | null;
  /** Null while a watch is open. */
  readonly cutAtMs: number | null;
  readonly why: string | null;
}

export function freshnessOf({ hasListed, heardAtEpochMs, cutAtMs, why }: FeedHealth, nowMs: number): FeedFreshness {
  if (!hasListed) return { state: 'syncing', heardAtEpochMs, why };
  if (cutAtMs === null || nowMs - cutAtMs < STALE_AFTER_MS) return { state: 'live', heardAtEpochMs, why: null };
  return { state: 'stale', heardAtEpochMs, why: why ?? 'the API server does not answer' };
}

const WORSE = ['syncing', 'stale', 'live', 'absent'] as const;

/** The worst state, the oldest word, the first reason. Live without namespaces: there is nothing to know. */
export function worstOf(all: readonly FeedFreshness[]): FeedFreshness {
  const state = WORSE.find((one) => all.some((freshness) => freshness.state === one)) ?? 'live';
  const heard = all.map(({ heardAtEpochMs }) => heardAtEpochMs);
  return {
    state,
    heardAtEpochMs: heard.length === 0 || heard.includes(null) ? null : Math.min(...(heard as number[])),
    why: all.find((freshness) => freshness.state === state && freshness.why !== null)?.why ?? null,
  };
}
