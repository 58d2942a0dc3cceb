import { type ArrivalRate, recentPerS } from './arrival-rate.ts';
import { isLive } from './pod-order.ts';
import { queuedSlotMs, type Snapshot } from './snapshot.ts';
import type { SlotSource } from './wait-time.ts';

/** What is known for telling callers how long they will wait. */
export interface WaitAdvice {
  /** Pods that serve or boot, as sources of free slots. */
  readonly sources: readonly SlotSource[];
  /** One pod ordered now; for calls that would wake the pool. */
  readonly ifOrdered: SlotSource | null;
  /** Objectives whose calls wake the pool at once. */
  readonly immediate: ReadonlySet<string>;
  readonly queued: number;
  /** Finished per second over the last minute. */
  readonly finishedPerS: number;
}

export function waitAdvice(snapshot: Snapshot, releases: ArrivalRate, nowMs: number): WaitAdvice {
  const ageMs = nowMs - snapshot.nowMs;
  const queued = snapshot.objectives.reduce((sum, objective) => sum + objective.queued, 0);
  const slotMs = snapshot.objectives.reduce((sum, objective) => sum + queuedSlotMs(objective), 0);
  const requestMs = queued === 0 ? snapshot.scale.requestPriorMs : slotMs / queued;
  const source = (slots: number, usedSlots: number, availableInMs: number): SlotSource => ({
    availableInMs: Math.max(0, availableInMs - ageMs),
    freeSlots: Math.max(0, slots - usedSlots),
    requestsPerMs: (slots * snapshot.slotUseRatio) / Math.max(1, requestMs),
  });
  const slotsOf = new Map(snapshot.targets.map((target) => [target.name, target.slots]));
  const [first] = snapshot.targets;
  return {
    sources: snapshot.replicas
      .filter(isLive)
      .map(({ target, usedSlots, remaining }) => source(slotsOf.get(target) ?? 1, usedSlots, remaining?.p50Ms ?? 0)),
    ifOrdered: first === undefined ? null : source(first.slots, 0, first.coldStart.p50Ms + ageMs),
    immediate: new Set(
      snapshot.objectives.filter(({ activation }) => activation === 'Immediate').map(({ name }) => name),
    ),
    queued,
    finishedPerS: recentPerS(releases, nowMs),
  };
}
