import { newArrivalRate } from './arrival-rate.ts';
import { type Breaker, FIRST_BACKOFF_MS } from './breaker.ts';
import { type BootHistory, type BootRecord } from './cold-start.ts';
import type { ObjectiveMemory, PoolMemory } from './pool-memory.ts';
import { newWorkEstimate } from './work-estimate.ts';

/** What a restart should not have to learn again. Plain JSON; a lost one costs quality for minutes, never correctness. */
export interface LearnedState {
  readonly version: 1;
  readonly boots: Readonly<Record<string, readonly BootRecord[]>>;
  readonly pools: Readonly<Record<string, LearnedPool>>;
  /** By template; absent in what older releases saved. */
  readonly breakers?: Readonly<Record<string, LearnedBreaker>>;
}

/** A breaker by the clock that all processes share. */
export interface LearnedBreaker {
  readonly failures: number;
  readonly retryAtEpochMs: number | null;
  readonly message: string | null;
}

export interface LearnedPool {
  readonly slotUseRatio: number;
  readonly slotsByTarget: Readonly<Record<string, number>>;
  readonly objectives: Readonly<Record<string, { readonly slotMs: number; readonly requests: number }>>;
}

export const nothingLearned: LearnedState = { version: 1, boots: {}, pools: {} };

/** What was saved, or nothing when it is not ours or not readable: the parts that do not fit are left out. */
export function parseLearnedState(saved: unknown): LearnedState {
  if (!isRecord(saved) || saved['version'] !== 1) return nothingLearned;
  const boots = mapRecord(saved['boots'], (value) => (Array.isArray(value) ? value.filter(isBootRecord) : null));
  const breakers = mapRecord(saved['breakers'], parseBreaker);
  return { version: 1, boots, pools: mapRecord(saved['pools'], parsePool), breakers };
}

/** Both clocks at one moment. */
export interface ClockPair {
  readonly monotonicMs: number;
  readonly epochMs: number;
}

export function learnedBreakers(
  breakers: ReadonlyMap<string, Breaker>,
  now: ClockPair,
): Readonly<Record<string, LearnedBreaker>> {
  const saved = [...breakers].map(([hash, { failures, retryAtMs, message }]) => {
    const retryAtEpochMs = retryAtMs === null ? null : now.epochMs + (retryAtMs - now.monotonicMs);
    return [hash, { failures, retryAtEpochMs, message }] as const;
  });
  return Object.fromEntries(saved);
}

/** Nobody waits longer than the first back-off after a restart: it may be what mended the boots. */
export function restoreBreakers(state: LearnedState, now: ClockPair): ReadonlyMap<string, Breaker> {
  const restored = Object.entries(state.breakers ?? {}).map(([hash, { failures, retryAtEpochMs, message }]) => {
    const leftMs = Math.min(FIRST_BACKOFF_MS, Math.max(0, (retryAtEpochMs ?? 0) - now.epochMs));
    return [hash, { failures, retryAtMs: retryAtEpochMs === null ? null : now.monotonicMs + leftMs, message }] as const;
  });
  return new Map(restored);
}

/** The template booted last comes last, as `addBoot` counts on: JSON puts names that are numbers first. */
export function bootHistory(state: LearnedState): BootHistory {
  const lastMs = (boots: readonly BootRecord[]): number => boots.at(-1)?.atEpochMs ?? 0;
  return new Map(Object.entries(state.boots).sort(([, a], [, b]) => lastMs(a) - lastMs(b)));
}

export function learnedPool(memory: PoolMemory): LearnedPool {
  const objectives = [...memory.objectives].map(([name, { work }]) => [
    name,
    { slotMs: work.slotMs, requests: work.requests, costTokens: work.costTokens },
  ]);
  return {
    slotUseRatio: memory.slotUseRatio,
    slotsByTarget: Object.fromEntries(memory.slotsByTarget),
    objectives: Object.fromEntries(objectives) as LearnedPool['objectives'],
  };
}

/** A fresh memory that knows what was learned before. */
export function restorePool(memory: PoolMemory, learned: LearnedPool): PoolMemory {
  const objectives = Object.entries(learned.objectives).map(([name, work]): [string, ObjectiveMemory] => [
    name,
    { arrivals: newArrivalRate(memory.startedMs), work: { ...newWorkEstimate, ...work }, released: null },
  ]);
  return {
    ...memory,
    slotUseRatio: learned.slotUseRatio,
    slotsByTarget: new Map(Object.entries(learned.slotsByTarget)),
    objectives: new Map(objectives),
  };
}

function parsePool(value: unknown): LearnedPool | null {
  if (!isRecord(value)) return null;
  const { slotUseRatio } = value;
  if (!isPositive(slotUseRatio) || slotUseRatio > 1) return null;
  return {
    slotUseRatio,
    slotsByTarget: mapRecord(value['slotsByTarget'], (slots) => (isPositive(slots) ? slots : null)),
    objectives: mapRecord(value['objectives'], (work) => {
      if (!isRecord(work) || !isPositive(work['slotMs']) || !isPositive(work['requests'])) return null;
      const costTokens = isPositive(work['costTokens']) ? work['costTokens'] : 0;
      return { slotMs: work['slotMs'], requests: work['requests'], costTokens };
    }),
  };
}

function parseBreaker(value: unknown): LearnedBreaker | null {
  if (!isRecord(value) || !isPositive(value['failures'])) return null;
  const { failures, retryAtEpochMs, message } = value;
  return {
    failures,
    retryAtEpochMs: isPositive(retryAtEpochMs) ? retryAtEpochMs : null,
    message: typeof message === 'string' ? message : null,
  };
}

function isBootRecord(value: unknown): value is BootRecord {
  if (!isRecord(value) || !isPositive(value['atEpochMs']) || !isRecord(value['toReadyMs'])) return false;
  return Object.values(value['toReadyMs']).every((ms) => typeof ms === 'number' && ms >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function mapRecord<T>(value: unknown, parse: (item: unknown) => T | null): Record<string, T> {
  if (!isRecord(value)) return {};
  const parsed = Object.entries(value).map(([key, item]) => [key, parse(item)] as const);
  return Object.fromEntries(parsed.filter((entry): entry is readonly [string, T] => entry[1] !== null));
}
