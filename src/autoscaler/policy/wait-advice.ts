import { type ArrivalRate, recentPerS } from './arrival-rate.ts';
import { isBlocked, nextTarget } from './holds.ts';
import { isLive } from './pod-order.ts';
import { queuedSlotMs, type Snapshot } from './snapshot.ts';
import type { SlotSource } from './wait-time.ts';

/** What is known for telling callers how long they will wait. */
export interface WaitAdvice {
  /** Pods that serve or boot, as sources of free slots. */
  readonly sources: readonly SlotSource[];
  /** One pod ordered now, for calls that would wake the pool; null = none can be ordered. */
  readonly ifOrdered: SlotSource | null;
  /** Objectives whose calls wake the pool at once. */
  readonly immediate: ReadonlySet<string>;
  readonly queued: number;
  /** The same, of each priority that has any; in no order. */
  readonly queuedByPriority: readonly { readonly priority: number; readonly queued: number }[];
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
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const next = nextTarget(snapshot);
  return {
    sources: snapshot.replicas
      .filter((replica) => isLive(replica) && !isBlocked(replica, known.get(replica.target)))
      .map(({ target, usedSlots, remaining }) =>
        source(known.get(target)?.slots ?? 1, usedSlots, remaining?.p50Ms ?? 0),
      ),
    ifOrdered: next === undefined ? null : source(next.slots, 0, next.coldStart.p50Ms + ageMs),
    immediate: new Set(
      snapshot.objectives.filter(({ activation }) => activation === 'Immediate').map(({ name }) => name),
    ),
    queued,
    queuedByPriority: queuedByPriority(snapshot),
    finishedPerS: recentPerS(releases, nowMs),
  };
}

/** What stands before a new request of `priority`, or beside it: batch work of lower priority, however much, does not. */
export function queuedAhead({ queuedByPriority: parts }: WaitAdvice, priority: number): number {
  return parts.reduce((sum, part) => (part.priority >= priority ? sum + part.queued : sum), 0);
}

function queuedByPriority({ objectives }: Snapshot): WaitAdvice['queuedByPriority'] {
  const counts = new Map<number, number>();
  for (const { priority, queued } of objectives) {
    if (queued > 0) counts.set(priority, (counts.get(priority) ?? 0) + queued);
  }
  return [...counts].map(([priority, queued]) => ({ priority, queued }));
}
