import { type Activation, activation } from './activation.ts';
import { backlogPods, dueWork } from './backlog.ts';
import { busyPods, type DeadlineNeed, type DeadlineWork, deadlinePods, deadlineWork } from './deadline.ts';
import type { Components } from './decision.ts';
import { areGuestsOwed, outstanding, type PausedWork, pausedWork, withoutGuests, withoutPaused } from './guests.ts';
import { nextTarget } from './holds.ts';
import { type PodOrder, podOrder } from './pod-order.ts';
import { rateNeed, ratePods } from './rate.ts';
import { type ResolvedSettings, resolveSettings } from './settings.ts';
import { type Snapshot, type TargetView, totalQueued } from './snapshot.ts';

/** A snapshot with what every rule says about it. */
export interface Considered {
  /** What counts: without what is paused, and without guests unless they are owed the pool. */
  readonly snapshot: Snapshot;
  /** Requests of guests that are not owed the pool. */
  readonly uncounted: number;
  /** What waits of paused objectives, and their names. */
  readonly paused: PausedWork;
  readonly guestsOwed: boolean;
  readonly order: PodOrder;
  readonly settings: ResolvedSettings;
  readonly activation: Activation;
  readonly components: Components;
  /** The first deadline that needs another pod; null = none does. */
  readonly lateWork: DeadlineWork | null;
}

/** Asks every rule. The most wanted target that works stands for a new pod, so that the yardstick stays the same. */
export function consider(seen: Snapshot): Considered {
  const active = withoutPaused(seen);
  const order = podOrder(active);
  const { scale } = active;
  const next = nextTarget(active) ?? active.targets[0];
  const coldStart = next?.coldStart ?? { p50Ms: 0, p90Ms: 0, boots: 0 };
  const settings = resolveSettings(scale, coldStart);
  const podRate = (next?.slots ?? 1) * active.slotUseRatio;
  const { keepWarmMs } = settings;
  const { objectives } = active;
  const input = { objectives, deadlines: deadlineWork(objectives), scale, coldStart, keepWarmMs, podRate };
  const wake = activation(input);
  const guestsOwed = areGuestsOwed(active, input, wake);
  const snapshot = guestsOwed ? active : withoutGuests(active);
  const deadlines = deadlineWork(snapshot.objectives);
  const existing = order.live.length + order.undrainable.length;
  const need = deadlinePods(order.supply, existing, deadlines);
  const components = {
    ...podCounts(
      snapshot,
      order,
      settings,
      { ...need, busy: busyPods(order.supply.slice(0, order.live.length), deadlines, need.infeasible) },
      next,
    ),
    ...settings,
    breakEvenRequests: Number.isFinite(wake.batched.breakEven) ? wake.batched.breakEven : null,
  };
  const uncounted = outstanding(active) - outstanding(snapshot);
  const paused = pausedWork(seen);
  return {
    snapshot,
    uncounted,
    paused,
    guestsOwed,
    order,
    settings,
    activation: wake,
    components,
    lateWork: need.late,
  };
}

function podCounts(
  snapshot: Snapshot,
  order: PodOrder,
  { drainTargetMs }: ResolvedSettings,
  deadline: DeadlineNeed<DeadlineWork> & { readonly busy: number },
  next: TargetView | undefined,
): Omit<Components, keyof ResolvedSettings | 'breakEvenRequests'> {
  const { objectives, targets } = snapshot;
  const pods = order.supply;
  const existing = order.live.length + order.undrainable.length;
  const certain = existing + order.lacking;
  const need = rateNeed(objectives);
  const due = dueWork(objectives, next?.coldStart.p90Ms ?? 0, drainTargetMs, need.risingSlots);
  const backlog = backlogPods({ pods, certain, due, coldStartP50Ms: next?.coldStart.p50Ms ?? 0 });
  // A pool that has free slots and no queue carries its arrivals: a high estimate alone must not add pods.
  const isCarried = totalQueued(snapshot) === 0 && snapshot.usedRatio < 1;
  const rising = ratePods(pods, need.risingSlots);
  const rate = isCarried ? Math.min(rising, existing) : rising;
  const rateToFall = ratePods(pods, need.fallingSlots);
  const min = targets.reduce((sum, { minReplicas }) => sum + minReplicas, 0);
  const max = targets.reduce((sum, { maxReplicas }) => sum + maxReplicas, 0);
  // A blocked boot has a place, but wakes nobody.
  const { wakeReplicas } = snapshot.orders;
  const manual = wakeReplicas === 0 ? 0 : Math.min(max, order.blocked.length + wakeReplicas);
  // What minimums lack comes on top of what exists, and one target never stands in for another one's minimum.
  const floor = order.isShort ? certain : order.held;
  const bound = (count: number): number => Math.max(floor, Math.min(max, Math.max(manual, count)));
  return {
    live: order.live.length,
    rate,
    rateToFall,
    backlog,
    deadline: deadline.pods,
    infeasibleDeadlines: deadline.infeasible,
    min,
    manual,
    max,
    wanted: bound(Math.max(rate, backlog, deadline.pods)),
    wantedToFall: bound(Math.max(rateToFall, backlog, deadline.pods, deadline.busy)),
  };
}
