import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import { BOOT_TROUBLES, type Replica, WARM_UP_PHASES } from '../core/replicas.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import { isOpen } from './policy/breaker.ts';
import { type Decision, desiredTotal } from './policy/decision.ts';
import { noOrderWhy } from './policy/holds.ts';
import type { PeopleOrders } from './policy/people-orders.ts';
import type { Snapshot } from './policy/snapshot.ts';

export function reportReplicas(metrics: AutoscalerMetrics, pool: PoolKey, replicas: readonly Replica[]): void {
  for (const phase of WARM_UP_PHASES) {
    metrics.replicas.set({ pool, phase }, replicas.filter((replica) => replica.phase === phase).length);
  }
  for (const trouble of BOOT_TROUBLES) {
    const count = replicas.filter((replica) => replica.trouble?.kind === trouble).length;
    metrics.troubledReplicas.set({ pool, trouble }, count);
  }
}

export interface Holds {
  readonly orders: PeopleOrders;
  readonly bypassRequests: number;
  readonly snapshot: Snapshot;
}

/** What keeps the replicas from following the load. */
export function reportHolds(
  metrics: AutoscalerMetrics,
  pool: PoolKey,
  { orders, bypassRequests, snapshot }: Holds,
): void {
  metrics.bypassRequests.set({ pool }, bypassRequests);
  metrics.ordersOpen.set({ pool, order: 'wake' }, orders.wakeReplicas > 0 ? 1 : 0);
  metrics.ordersOpen.set({ pool, order: 'drain' }, orders.drainLeftMs === null ? 0 : 1);
  metrics.ordersOpen.set({ pool, order: 'pause' }, orders.paused ? 1 : 0);
  for (const target of snapshot.targets) {
    const labels = { pool, target: target.name };
    const takesOrders = noOrderWhy(target, snapshot.replicas) === null;
    metrics.targetAvailable.set({ ...labels, direction: 'up' }, takesOrders ? 1 : 0);
    metrics.targetAvailable.set({ ...labels, direction: 'down' }, target.noDownWhy === null ? 1 : 0);
  }
}

/** Targets that have left the policy are told of no more. */
export function forgetTargets(metrics: AutoscalerMetrics, before: Snapshot, now: Snapshot): void {
  const names = new Set(now.targets.map(({ name }) => name));
  for (const { name } of before.targets.filter((target) => !names.has(target.name))) {
    const labels = { pool: before.pool, target: name };
    metrics.breakerOpen.remove(labels);
    for (const direction of ['up', 'down']) metrics.targetAvailable.remove({ ...labels, direction });
  }
}

/** Metrics of every decision; a log line only when it differs from the one before. */
export function reportDecision(
  { log, metrics }: { readonly log: Logger; readonly metrics: AutoscalerMetrics },
  pool: PoolKey,
  decision: Decision,
  snapshot: Snapshot,
  isNew: boolean,
): void {
  const { rate, backlog, deadline, min, manual, max, live, infeasibleDeadlines } = decision.components;
  const desired = desiredTotal(decision);
  for (const [rule, replicas] of Object.entries({ rate, backlog, deadline, min, manual, max })) {
    metrics.componentReplicas.set({ pool, rule }, replicas);
  }
  metrics.desiredReplicas.set({ pool }, desired);
  metrics.saturationRatio.set({ pool }, snapshot.saturationRatio);
  metrics.infeasibleDeadlines.set({ pool }, infeasibleDeadlines);
  metrics.decisionsTotal.inc({ pool, rule: decision.rule });
  for (const { name, breaker } of snapshot.targets) {
    metrics.breakerOpen.set({ pool, target: name }, isOpen(breaker) ? 1 : 0);
  }
  if (isNew && live === 0 && desired > 0) metrics.wakesTotal.inc({ pool, rule: decision.rule });
  if (isNew) log.info({ pool, rule: decision.rule, desired, sentence: decision.sentence }, 'autoscaler.decided');
}
