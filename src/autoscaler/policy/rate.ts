import type { ObjectiveView } from './snapshot.ts';
import type { PodSupply } from './supply.ts';

/** Pods are planned to be this full by sustained arrivals; the rest absorbs their unevenness. */
export const TARGET_LOAD_RATIO = 0.8;

export interface RateNeed {
  /** Slots kept busy by sustained `Immediate` arrivals, to go up and (slower to fall) to go down. */
  readonly risingSlots: number;
  readonly fallingSlots: number;
}

/**
 * Slots that sustained arrivals keep busy: arrivals per second × slot-seconds each. Only `Immediate` objectives: work
 * that may wait is counted once it waits. A rise follows the last minute, a fall the higher of one and five minutes.
 */
export function rateNeed(objectives: readonly ObjectiveView[]): RateNeed {
  const immediate = objectives.filter(({ activation }) => activation === 'Immediate');
  const slots = (perS: (objective: ObjectiveView) => number): number =>
    immediate.reduce((sum, objective) => sum + (perS(objective) * objective.slotMsPerRequest) / 1_000, 0);
  return {
    risingSlots: slots(({ perS60 }) => perS60),
    fallingSlots: slots(({ perS60, perS300 }) => Math.max(perS60, perS300)),
  };
}

const TOLERANCE = 1 + 1e-9;

/** Least number of pods, in order, whose rate at 80 % load carries that many busy slots; all of them if none does. */
export function ratePods(pods: readonly PodSupply[], busySlots: number): number {
  let carried = 0;
  let count = 0;
  while (count < pods.length && carried * TOLERANCE < busySlots) {
    carried += (pods[count]?.rate ?? 0) * TARGET_LOAD_RATIO;
    count += 1;
  }
  return count;
}
