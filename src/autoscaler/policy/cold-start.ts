import type { WarmUpPhase } from '../../core/replicas.ts';
import { type WeightedSample, weightedQuantile } from './quantile.ts';

/** One successful boot. */
export interface BootRecord {
  readonly atEpochMs: number;
  /** Time to Ready from the entry into each phase it passed; `Requested` is the whole cold start. Monotonic clock. */
  readonly toReadyMs: Readonly<Partial<Record<WarmUpPhase, number>>>;
}

export interface Quantiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
}

export interface ColdStart extends Quantiles {
  /** Boots it was learned from. */
  readonly boots: number;
}

const KEPT_BOOTS = 50;
const KEPT_TEMPLATES = 500;
/** Below this many boots the prior still counts. */
const ENOUGH_BOOTS = 5;
const HALF_LIFE_MS = 7 * 86_400_000;
/** The prior's p90 against its p50: 600 s against 300 s, as reported boots spread. */
const PRIOR_SPREAD = 2;
const OVERDUE_MS = 30_000;

export type BootHistory = ReadonlyMap<string, readonly BootRecord[]>;

/** The history with one more boot of that template: the last 50 of a template, the 500 templates booted last. */
export function addBoot(history: BootHistory, templateHash: string, boot: BootRecord): BootHistory {
  const boots = [...(history.get(templateHash) ?? []), boot].slice(-KEPT_BOOTS);
  const others = [...history].filter(([hash]) => hash !== templateHash).slice(-(KEPT_TEMPLATES - 1));
  return new Map([...others, [templateHash, boots]]);
}

/**
 * Cold start of a template: weighted quantiles of its boots (half-life 7 days), mixed with the prior below five boots.
 * The mix is geometric, because boot times spread by ratios: one boot of 3 s moves a prior of 300 s to 119 s.
 */
export function coldStart(boots: readonly BootRecord[], priorMs: number, nowEpochMs: number): ColdStart {
  const samples = samplesFrom(boots, 'Requested', nowEpochMs);
  return { ...mixWithPrior(samples, priorMs), boots: boots.length };
}

/**
 * Time until a booting replica is ready, given that it has been in `phase` for `inPhaseMs`: quantiles over those boots
 * that took longer from there (never a sum of per-phase quantiles, which overstates). When none took longer it is
 * overdue: half the time already spent, at least 30 s or one median cold start if that is shorter.
 */
export function remainingBoot(
  boots: readonly BootRecord[],
  priorMs: number,
  nowEpochMs: number,
  replica: { readonly phase: WarmUpPhase; readonly inPhaseMs: number; readonly sinceRequestedMs: number },
): Quantiles & { readonly overdue: boolean } {
  const whole = coldStart(boots, priorMs, nowEpochMs);
  if (boots.length < ENOUGH_BOOTS) {
    const left = { p50Ms: whole.p50Ms - replica.sinceRequestedMs, p90Ms: whole.p90Ms - replica.sinceRequestedMs };
    if (left.p90Ms > 0) return { p50Ms: Math.max(0, left.p50Ms), p90Ms: left.p90Ms, overdue: false };
    return overdue(replica.sinceRequestedMs, whole.p50Ms);
  }
  const known = samplesFrom(boots, replica.phase, nowEpochMs);
  const longer = known.filter(({ value }) => value > replica.inPhaseMs);
  const p50 = weightedQuantile(longer, 0.5);
  const p90 = weightedQuantile(longer, 0.9);
  if (p50 === null || p90 === null) return overdue(replica.sinceRequestedMs, whole.p50Ms);
  return { p50Ms: p50 - replica.inPhaseMs, p90Ms: p90 - replica.inPhaseMs, overdue: false };
}

function overdue(sinceRequestedMs: number, medianMs: number): Quantiles & { readonly overdue: boolean } {
  const restMs = Math.max(sinceRequestedMs / 2, Math.min(OVERDUE_MS, medianMs));
  return { p50Ms: restMs, p90Ms: restMs, overdue: true };
}

function samplesFrom(boots: readonly BootRecord[], phase: WarmUpPhase, nowEpochMs: number): readonly WeightedSample[] {
  return boots.flatMap((boot) => {
    const value = boot.toReadyMs[phase];
    if (value === undefined) return [];
    return [{ value, weight: 0.5 ** (Math.max(0, nowEpochMs - boot.atEpochMs) / HALF_LIFE_MS) }];
  });
}

function mixWithPrior(samples: readonly WeightedSample[], priorMs: number): Quantiles {
  const priorShare = Math.max(0, ENOUGH_BOOTS - samples.length) / ENOUGH_BOOTS;
  const mix = (learnedMs: number | null, assumedMs: number): number =>
    learnedMs === null ? assumedMs : Math.max(1, learnedMs) ** (1 - priorShare) * Math.max(1, assumedMs) ** priorShare;
  return {
    p50Ms: mix(weightedQuantile(samples, 0.5), priorMs),
    p90Ms: mix(weightedQuantile(samples, 0.9), priorMs * PRIOR_SPREAD),
  };
}
