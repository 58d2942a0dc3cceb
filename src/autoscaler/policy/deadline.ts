import { formatDuration } from '../../core/units.ts';
import { type ObjectiveView, runningSlotMs } from './snapshot.ts';
import { type DueWork, finishedInMs, leastPods, type PodSupply, supplyUntil } from './supply.ts';

/** Work may be this much more than estimated. */
export const WORK_SAFETY_RATIO = 0.1;
const RESERVE_RATIO = 0.03;
const RESERVE_LEAST_MS = 300_000;
/** The least reserve must not eat short deadlines. */
const RESERVE_MOST_RATIO = 0.1;
const GUARD_MS = 60_000;
const GUARD_MOST_RATIO = 0.05;
/** A pod that dated work keeps busy for so long is kept. */
const BUSY_MS = 60_000;

/** Work with a deadline; `dueInMs` is less a reserve for results and retries. */
export interface DeadlineWork extends DueWork {
  readonly objective: string;
  readonly requests: number;
  readonly deadlineEpochMs: number;
  readonly deadlineInMs: number;
  /** From acceptance to deadline. */
  readonly windowMs: number;
}

/**
 * The stored work that has a deadline, in the live order or not, that of jobs and that of batches, earliest first. What runs is
 * taken to be what is due first, and to be half done.
 */
export function deadlineWork(objectives: readonly ObjectiveView[]): readonly DeadlineWork[] {
  return objectives.flatMap(dueOf).sort((a, b) => a.dueInMs - b.dueInMs);
}

function dueOf(objective: ObjectiveView): readonly DeadlineWork[] {
  let doneSlotMs = runningSlotMs(objective);
  return objective.due.map(({ requests, slotMs, deadlineEpochMs, deadlineInMs, windowMs }) => {
    const reserveMs = Math.max(RESERVE_RATIO * windowMs, Math.min(RESERVE_LEAST_MS, RESERVE_MOST_RATIO * windowMs));
    const leftSlotMs = Math.max(0, slotMs - doneSlotMs);
    doneSlotMs -= slotMs - leftSlotMs;
    const times = { deadlineEpochMs, deadlineInMs, windowMs, dueInMs: deadlineInMs - reserveMs };
    return { objective: objective.name, requests, ...times, slotMs: leftSlotMs };
  });
}

/** Work whose deadline passes in order, each with all that is due before it: what has to be done by then. */
export function accumulated<W extends DueWork>(work: readonly W[]): readonly W[] {
  let slotMs = 0;
  return work
    .toSorted((a, b) => a.dueInMs - b.dueInMs)
    .map((due) => {
      slotMs += due.slotMs;
      return { ...due, slotMs };
    });
}

/** What deadlines ask for. */
export interface DeadlineNeed<W extends DueWork> {
  /** Least number of pods that meets every deadline that can be met. */
  readonly pods: number;
  /** Deadlines that no pod could meet any more. */
  readonly infeasible: number;
  /** The first deadline that the existing pods would miss and others may meet; null = none. */
  readonly late: W | null;
}

/**
 * A deadline nearer than a new pod's boot that the existing pods miss, with all that is due before it, is lost: no pod is
 * added for it, and it stands in no other's way.
 */
export function deadlinePods<W extends DueWork>(
  pods: readonly PodSupply[],
  existing: number,
  work: readonly W[],
): DeadlineNeed<W> {
  const newPodInMs = Math.min(Number.POSITIVE_INFINITY, ...pods.slice(existing).map((pod) => pod.availableInMs));
  const now = pods.slice(0, existing);
  const feasible: DueWork[] = [];
  let infeasible = 0;
  let late: W | null = null;
  let slotMs = 0;
  for (const due of work.toSorted((a, b) => a.dueInMs - b.dueInMs)) {
    const safeSlotMs = due.slotMs * (1 + WORK_SAFETY_RATIO);
    const isMissed = supplyUntil(now, due.dueInMs) < slotMs + safeSlotMs;
    if (isMissed && due.dueInMs <= newPodInMs) infeasible += 1;
    else {
      if (isMissed) late ??= due;
      slotMs += safeSlotMs;
      feasible.push({ dueInMs: due.dueInMs, slotMs: safeSlotMs });
    }
  }
  if (feasible.length === 0) return { pods: 0, infeasible, late };
  return { pods: leastPods(pods, feasible) ?? pods.length, infeasible, late };
}

/**
 * Pods to keep when deadlines could be met with fewer: all of `live`, while they have work with a deadline for a minute. It is
 * the same GPU time either way, done earlier, and a pod that was given up cannot be missed later. While a deadline that is
 * still to come cannot be met, all of them too: fewer would only miss it by more.
 */
export function busyPods(live: readonly PodSupply[], work: readonly DeadlineWork[], infeasible: number): number {
  const slotMs = work.reduce((sum, due) => sum + due.slotMs, 0);
  if (slotMs === 0) return 0;
  const isLosing = infeasible > 0 && work.some((due) => due.deadlineInMs > 0 && due.slotMs > 0);
  return isLosing || finishedInMs(live, slotMs) >= BUSY_MS ? live.length : 0;
}

/**
 * Until a pool at zero has to wake one pod for this work to be done in time; negative = it should be awake. Of
 * accumulated work, so that two deadlines do not count on the same time.
 */
export function latestStartInMs(work: DueWork & { windowMs: number }, coldStartP90Ms: number, podRate: number): number {
  const guardMs = Math.min(GUARD_MS, GUARD_MOST_RATIO * work.windowMs);
  return work.dueInMs - coldStartP90Ms - (work.slotMs * (1 + WORK_SAFETY_RATIO)) / podRate - guardMs;
}

/** "200000 requests of objective nightly are due at 2026-11-23T06:00:00Z, in 3h 5m". */
export function deadlineWords({ requests, objective, deadlineEpochMs, deadlineInMs }: DeadlineWork): string {
  const what = requests === 1 ? '1 request' : `${requests} requests`;
  const at = new Date(deadlineEpochMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const when = deadlineInMs > 0 ? `in ${formatDuration(deadlineInMs)}` : `${formatDuration(-deadlineInMs)} ago`;
  return `${what} of objective ${objective} ${requests === 1 ? 'is' : 'are'} due at ${at}, ${when}`;
}
