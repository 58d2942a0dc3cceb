import type { Logger } from '../core/logger.ts';
import type { PoolKey } from '../core/objects.ts';
import { type Replica, WARM_UP_PHASES } from '../core/replicas.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import { isOpen } from './policy/breaker.ts';
import { type Decision, desiredTotal } from './policy/decision.ts';
import type { Snapshot } from './policy/snapshot.ts';

export function reportReplicas(metrics: AutoscalerMetrics, pool: PoolKey, replicas: readonly Replica[]): void {
  for (const phase of WARM_UP_PHASES) {
    metrics.replicas.set({ pool, phase }, replicas.filter((replica) => replica.phase === phase).length);
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
  const { rate, backlog, deadline, min, max, live, infeasibleDeadlines } = decision.components;
  const desired = desiredTotal(decision);
  for (const [rule, replicas] of Object.entries({ rate, backlog, deadline, min, max })) {
    metrics.componentReplicas.set({ pool, rule }, replicas);
  }
  metrics.desiredReplicas.set({ pool }, desired);
  metrics.infeasibleDeadlines.set({ pool }, infeasibleDeadlines);
  metrics.decisionsTotal.inc({ pool, rule: decision.rule });
  for (const { name, breaker } of snapshot.targets) {
    metrics.breakerOpen.set({ pool, target: name }, isOpen(breaker) ? 1 : 0);
  }
  if (isNew && live === 0 && desired > 0) metrics.wakesTotal.inc({ pool, rule: decision.rule });
  if (isNew) log.info({ pool, rule: decision.rule, desired, sentence: decision.sentence }, 'autoscaler.decided');
}
