import { type ObjectiveView, queuedSlotMs, runningSlotMs, undatedRequests } from './snapshot.ts';
import { type DueWork, finishedInMs, leastPods, type PodSupply } from './supply.ts';

/** A pod must be busy at least this long, or a quarter of the median cold start, to be worth its boot. */
const USEFUL_MS = 60_000;
const USEFUL_BOOT_RATIO = 0.25;

export interface BacklogInput {
  /** In the order in which they are kept or added. */
  readonly pods: readonly PodSupply[];
  /** So many of them exist, or are started in any case. */
  readonly certain: number;
  readonly due: readonly DueWork[];
  readonly coldStartP50Ms: number;
}

/**
 * What is queued, with the time by which it should be done: `drainTargetMs` after a pod ordered now would be up; work
 * that may wait, as long after that as it may wait, unless it has a deadline: then that alone counts, by the deadline
 * rule. Sustained arrivals of `Immediate` work go before work that may wait.
 */
export function dueWork(
  objectives: readonly ObjectiveView[],
  newPodInMs: number,
  drainTargetMs: number,
  immediateSlots: number,
): readonly DueWork[] {
  return objectives.flatMap((objective) => {
    if (objective.activation === 'Immediate') {
      const slotMs = queuedSlotMs(objective) + runningSlotMs(objective);
      return slotMs === 0 ? [] : [{ dueInMs: newPodInMs + drainTargetMs, slotMs }];
    }
    const slotMs = undatedSlotMs(objective);
    const dueInMs = newPodInMs + Math.max(drainTargetMs, objective.maxWaitMs);
    return slotMs === 0 ? [] : [{ dueInMs, slotMs: slotMs + immediateSlots * dueInMs }];
  });
}

/** What runs is taken to be dated work first. */
function undatedSlotMs(objective: ObjectiveView): number {
  const undated = undatedRequests(objective);
  const queued = Math.min(undated, objective.queued);
  const running = undated - queued;
  return queuedSlotMs({ ...objective, queued }) + runningSlotMs({ ...objective, running });
}

/**
 * Least number of pods that does all due work in time, the pods that already boot included: a pod on its way is never
 * ordered twice. A pod beyond the certain ones must pass the usefulness test: with it, the work must last until
 * max(60 s, a quarter cold start) after it is up; a cold start under a minute only asks for its own length.
 */
export function backlogPods({ pods, certain, due, coldStartP50Ms }: BacklogInput): number {
  if (due.length === 0) return 0;
  const wanted = leastPods(pods, due) ?? pods.length;
  const usefulMs = Math.max(Math.min(USEFUL_MS, coldStartP50Ms), USEFUL_BOOT_RATIO * coldStartP50Ms);
  const workSlotMs = due.reduce((sum, work) => sum + work.slotMs, 0);
  let count = Math.min(wanted, certain);
  while (count < wanted) {
    const added = pods[count];
    const busyMs = finishedInMs(pods.slice(0, count + 1), workSlotMs) - (added?.availableInMs ?? 0);
    if (busyMs < usefulMs) break;
    count += 1;
  }
  return count;
}
