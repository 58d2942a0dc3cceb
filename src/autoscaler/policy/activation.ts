import type { ScaleSettings } from '../../core/objects.ts';
import { formatDuration } from '../../core/units.ts';
import { accumulated, type DeadlineWork, deadlineWords, latestStartInMs } from './deadline.ts';
import { type ObjectiveView, queuedSlotMs, undatedRequests } from './snapshot.ts';

/** Why a pool at zero wakes. */
export type WakeRule = 'immediate' | 'age' | 'latest-safe-start' | 'economics';

export interface Activation {
  readonly wake: { readonly rule: WakeRule; readonly sentence: string } | null;
  /** What would wake it, when nothing does. */
  readonly wouldWake: readonly string[];
  /** Until a rule that depends on time alone may fire; Infinity = none will. */
  readonly againInMs: number;
  /** Queued `Batched` requests, and how many pay for a boot. */
  readonly batched: { readonly queued: number; readonly breakEven: number };
}

export interface ActivationInput {
  readonly objectives: readonly ObjectiveView[];
  readonly deadlines: readonly DeadlineWork[];
  readonly scale: ScaleSettings;
  readonly coldStart: { readonly p50Ms: number; readonly p90Ms: number };
  readonly keepWarmMs: number;
  /** Slots that one new pod keeps busy. */
  readonly podRate: number;
  /** Objectives whose deadlines may wake it; what others have due counts as work before them. Absent = all. */
  readonly isMeant?: (objective: string) => boolean;
}

/** Whether the queued work is worth waking a pool that has no replica, and by which rule. The first that holds. */
export function activation(input: ActivationInput): Activation {
  const queued = input.objectives.filter((objective) => objective.queued > 0);
  const batched = breakEven(input, queued);
  const ageing = queued.filter(waitsForItsAge);
  const starts = latestStarts(input);
  const wake = immediateWake(queued) ?? ageWake(ageing) ?? latestStartWake(starts) ?? economicsWake(batched, input);
  const ages = ageing.map(({ maxWaitMs, oldestAgeMs }) => maxWaitMs - (oldestAgeMs ?? 0));
  const againInMs = Math.min(...ages, ...starts.map(({ startsInMs }) => startsInMs), Number.POSITIVE_INFINITY);
  return { wake, wouldWake: wouldWake(batched, againInMs), againInMs, batched };
}

type Wake = { readonly rule: WakeRule; readonly sentence: string } | null;

function immediateWake(queued: readonly ObjectiveView[]): Wake {
  const found = queued.find(({ activation: type }) => type === 'Immediate');
  if (found === undefined) return null;
  return { rule: 'immediate', sentence: `${requests(found.queued)} of objective ${found.name} must not wait` };
}

function ageWake(queued: readonly ObjectiveView[]): Wake {
  const found = queued.find(({ oldestAgeMs, maxWaitMs }) => oldestAgeMs !== null && oldestAgeMs >= maxWaitMs);
  if (found === undefined) return null;
  const limit = formatDuration(found.maxWaitMs);
  return { rule: 'age', sentence: `the oldest request of objective ${found.name} has waited its limit of ${limit}` };
}

/** `Scheduled` work that has a deadline waits for that, however old it is. */
function waitsForItsAge(objective: ObjectiveView): boolean {
  return objective.activation !== 'Scheduled' || undatedRequests(objective) > 0;
}

interface LatestStart {
  readonly work: DeadlineWork;
  readonly startsInMs: number;
}

function latestStarts({ deadlines, coldStart, podRate, isMeant }: ActivationInput): readonly LatestStart[] {
  // What is overdue wakes nobody: it is being expired.
  const withAllBefore = accumulated(deadlines.filter((work) => work.slotMs > 0 && work.deadlineInMs > 0));
  const meant = isMeant ? withAllBefore.filter(({ objective }) => isMeant(objective)) : withAllBefore;
  return meant.map((work) => ({ work, startsInMs: latestStartInMs(work, coldStart.p90Ms, podRate) }));
}

function latestStartWake(starts: readonly LatestStart[]): Wake {
  const found = starts.find(({ startsInMs }) => startsInMs <= 0);
  if (found === undefined) return null;
  return { rule: 'latest-safe-start', sentence: `${deadlineWords(found.work)}: a later start would be too late` };
}

function economicsWake(batched: Activation['batched'], input: ActivationInput): Wake {
  if (batched.queued === 0 || batched.queued < batched.breakEven) return null;
  const share = input.scale.minEfficiencyPercent;
  return {
    rule: 'economics',
    sentence: `${requests(batched.queued)} are worth a boot (${batched.breakEven} make ${share} % of its GPU time useful)`,
  };
}

/**
 * Break-even of `Batched` work: useful time ≥ minEfficiency of useful time + cold start + keep-warm.
 * N* = ceil(requests per second of one pod × (cold start + keep-warm) × e / (1 − e)).
 */
export function breakEvenRequests(
  podRate: number,
  slotMsPerRequest: number,
  overheadMs: number,
  minEfficiencyPercent: number,
): number {
  const efficiency = minEfficiencyPercent / 100;
  if (efficiency >= 1) return Number.POSITIVE_INFINITY;
  const exact = ((podRate / slotMsPerRequest) * overheadMs * efficiency) / (1 - efficiency);
  return Math.ceil(exact - 1e-9);
}

function breakEven(input: ActivationInput, queued: readonly ObjectiveView[]): Activation['batched'] {
  const batched = queued.filter(({ activation: type }) => type === 'Batched');
  const requestCount = batched.reduce((sum, objective) => sum + objective.queued, 0);
  if (requestCount === 0) return { queued: 0, breakEven: 0 };
  const meanSlotMs = batched.reduce((sum, objective) => sum + queuedSlotMs(objective), 0) / requestCount;
  const overheadMs = input.coldStart.p50Ms + input.keepWarmMs;
  const { minEfficiencyPercent } = input.scale;
  const least = breakEvenRequests(input.podRate, meanSlotMs, overheadMs, minEfficiencyPercent);
  return { queued: requestCount, breakEven: least };
}

function wouldWake(batched: Activation['batched'], againInMs: number): readonly string[] {
  const sentences = ['one request of an Immediate objective'];
  if (batched.queued > 0 && Number.isFinite(batched.breakEven)) {
    sentences.push(`${requests(batched.breakEven - batched.queued)} more that may be batched`);
  }
  if (Number.isFinite(againInMs)) sentences.push(`nothing else for ${formatDuration(Math.max(0, againInMs))}`);
  return sentences;
}

function requests(count: number): string {
  return count === 1 ? '1 request' : `${count} requests`;
}
