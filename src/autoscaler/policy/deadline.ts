import { type ObjectiveView, queuedSlotMs, runningSlotMs } from './snapshot.ts';
import { type DueWork, leastPods, type PodSupply, supplyUntil } from './supply.ts';

/** Work may be this much more than estimated. */
export const WORK_SAFETY_RATIO = 0.1;
const RESERVE_RATIO = 0.03;
const RESERVE_LEAST_MS = 300_000;
/** The least reserve must not eat short deadlines. */
const RESERVE_MOST_RATIO = 0.1;
const GUARD_MS = 60_000;
const GUARD_MOST_RATIO = 0.05;

/** Work with a deadline, less a reserve for results and retries. */
export interface DeadlineWork extends DueWork {
  readonly objective: string;
  /** From acceptance to deadline. */
  readonly windowMs: number;
}

/**
 * Queued work of objectives with a default deadline. The ledger tells the age of the oldest request only, so all of an
 * objective's work is taken to be due with it: never late, at worst early.
 */
export function deadlineWork(objectives: readonly ObjectiveView[]): readonly DeadlineWork[] {
  return objectives.flatMap((objective) => {
    const windowMs = objective.defaultDeadlineMs;
    if (windowMs === null || objective.oldestAgeMs === null) return [];
    const reserveMs = Math.max(RESERVE_RATIO * windowMs, Math.min(RESERVE_LEAST_MS, RESERVE_MOST_RATIO * windowMs));
    const dueInMs = windowMs - objective.oldestAgeMs - reserveMs;
    return [
      { objective: objective.name, windowMs, dueInMs, slotMs: queuedSlotMs(objective) + runningSlotMs(objective) },
    ];
  });
}

/**
 * Least number of pods that meets every deadline that can be met. A deadline nearer than a new pod's boot that the
 * existing pods miss is lost: no pod is added for it, and it is counted in `infeasible`.
 */
export function deadlinePods(
  pods: readonly PodSupply[],
  existing: number,
  work: readonly DueWork[],
): { readonly pods: number; readonly infeasible: number } {
  const safe = work.map((due) => ({ ...due, slotMs: due.slotMs * (1 + WORK_SAFETY_RATIO) }));
  const newPodInMs = Math.min(Number.POSITIVE_INFINITY, ...pods.slice(existing).map((pod) => pod.availableInMs));
  const now = pods.slice(0, existing);
  const lost = safe.filter((due) => due.dueInMs <= newPodInMs && supplyUntil(now, due.dueInMs) < due.slotMs);
  const feasible = safe.filter((due) => !lost.includes(due));
  if (feasible.length === 0) return { pods: 0, infeasible: lost.length };
  return { pods: leastPods(pods, feasible) ?? pods.length, infeasible: lost.length };
}

/** Until a pool at zero has to wake one pod for this work to be done in time; negative = it should be awake. */
export function latestStartInMs(work: DeadlineWork, coldStartP90Ms: number, podRate: number): number {
  const guardMs = Math.min(GUARD_MS, GUARD_MOST_RATIO * work.windowMs);
  return work.dueInMs - coldStartP90Ms - (work.slotMs * (1 + WORK_SAFETY_RATIO)) / podRate - guardMs;
}
