/** One pod as a source of work: slot-milliseconds. */
export interface PodSupply {
  readonly target: string;
  /** Slots it keeps busy when full: slots × slot use. Also its rate: slot-milliseconds per millisecond. */
  readonly rate: number;
  /**
   * From now until it can take work: 0 when ready, the 90th percentile of what is left of its boot otherwise; Infinity
   * when nobody knows.
   */
  readonly availableInMs: number;
}

/** Slot-milliseconds these pods can do from now until `untilMs`. */
export function supplyUntil(pods: readonly PodSupply[], untilMs: number): number {
  return pods.reduce((sum, pod) => sum + pod.rate * Math.max(0, untilMs - pod.availableInMs), 0);
}

/** When these pods will have done that work, in milliseconds from now; Infinity without pods that come. */
export function finishedInMs(pods: readonly PodSupply[], workSlotMs: number): number {
  const coming = pods.filter(({ availableInMs }) => Number.isFinite(availableInMs));
  const byStart = coming.sort((a, b) => a.availableInMs - b.availableInMs);
  let rate = 0;
  let fromMs = 0;
  let left = workSlotMs;
  for (const pod of byStart) {
    const doneUntilThen = rate * (pod.availableInMs - fromMs);
    if (rate > 0 && doneUntilThen >= left) break;
    left -= doneUntilThen;
    fromMs = pod.availableInMs;
    rate += pod.rate;
  }
  return rate === 0 ? Number.POSITIVE_INFINITY : fromMs + Math.max(0, left) / rate;
}

/** Work that has to be done by a time. */
export interface DueWork {
  readonly dueInMs: number;
  readonly slotMs: number;
}

/** Least number of `pods`, taken in order, that does all of it in time; null when all of them do not. */
export function leastPods(pods: readonly PodSupply[], due: readonly DueWork[]): number | null {
  for (let count = 0; count <= pods.length; count += 1) {
    const taken = pods.slice(0, count);
    if (isDone(taken, due)) return count;
  }
  return null;
}

/** Rounding must not order a pod. */
const TOLERANCE = 1 + 1e-9;

function isDone(pods: readonly PodSupply[], due: readonly DueWork[]): boolean {
  const sorted = [...due].sort((a, b) => a.dueInMs - b.dueInMs);
  let slotMs = 0;
  return sorted.every((work) => {
    slotMs += work.slotMs;
    return supplyUntil(pods, work.dueInMs) * TOLERANCE >= slotMs;
  });
}
