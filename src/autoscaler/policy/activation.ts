import type { ScaleSettings } from '../../core/objects.ts';
import { formatDuration } from '../../core/units.ts';
import { type DeadlineWork, latestStartInMs } from './deadline.ts';
import { type ObjectiveView, queuedSlotMs } from './snapshot.ts';

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
}

/** Whether the queued work is worth waking a pool that has no replica, and by which rule. The first that holds. */
export function activation(input: ActivationInput): Activation {
  const queued = input.objectives.filter((objective) => objective.queued > 0);
  const batched = breakEven(input, queued);
  const wake = immediateWake(queued) ?? ageWake(queued) ?? latestStartWake(input) ?? economicsWake(batched, input);
  const ages = queued.map(({ maxWaitMs, oldestAgeMs }) => maxWaitMs - (oldestAgeMs ?? 0));
  const againInMs = Math.min(
    ...ages,
    ...input.deadlines.map((work) => startsIn(work, input)),
    Number.POSITIVE_INFINITY,
  );
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

function latestStartWake(input: ActivationInput): Wake {
  const found = input.deadlines.find((work) => work.slotMs > 0 && startsIn(work, input) <= 0);
  if (found === undefined) return null;
  const due = formatDuration(Math.max(0, found.dueInMs));
  return {
    rule: 'latest-safe-start',
    sentence: `objective ${found.objective} is due in ${due}: later would be too late`,
  };
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

function startsIn(work: DeadlineWork, input: ActivationInput): number {
  return latestStartInMs(work, input.coldStart.p90Ms, input.podRate);
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
