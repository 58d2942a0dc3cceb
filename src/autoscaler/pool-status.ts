import type { PoolSpec } from '../core/objects.ts';
import type { PoolStatus } from '../core/replicas.ts';
import { formatDuration } from '../core/units.ts';
import type { DecisionRecord } from './decision-log.ts';
import { isOpen } from './policy/breaker.ts';
import { desiredTotal } from './policy/decision.ts';
import { isBooting } from './policy/pod-order.ts';
import type { Snapshot } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';

export interface StatusSources {
  readonly pool: PoolSpec;
  readonly replicas: readonly TargetReplica[];
  /** Null before the first look at the ledger. */
  readonly last: DecisionRecord | undefined;
  /** Monotonic. */
  readonly nowMs: number;
  readonly supports: (target: PoolSpec['targets'][number]) => boolean;
}

/** What a pool is doing, from its replicas as they are now and the last decision. */
export function poolStatus(sources: StatusSources): PoolStatus {
  const { pool, replicas, last } = sources;
  const blockedWhy = whyBlocked(sources);
  return {
    pool: pool.key,
    phase: phaseOf(sources, blockedWhy),
    desiredReplicas: last === undefined ? 0 : desiredTotal(last.decision),
    replicas,
    nextReadyMs: nextReady(sources, blockedWhy),
    lastDecision:
      last === undefined
        ? null
        : { atEpochMs: last.lastAtEpochMs, rule: last.decision.rule, sentence: last.decision.sentence },
    blockedWhy,
  };
}

function phaseOf({ pool, replicas }: StatusSources, blockedWhy: string | null): PoolStatus['phase'] {
  if (pool.scale.paused) return 'Paused';
  if (replicas.some(({ phase }) => phase === 'Ready')) return 'Ready';
  if (replicas.some(isOnItsWay)) return 'Waking';
  if (replicas.some(({ phase }) => phase === 'Draining')) return 'Draining';
  return blockedWhy === null ? 'Asleep' : 'Stalled';
}

function isOnItsWay({ phase, terminating }: TargetReplica): boolean {
  return !terminating && phase !== 'Ready' && phase !== 'Draining' && phase !== 'Stuck';
}

/** Why nothing serves the pool and nothing can; null while a replica is ready or on its way. */
function whyBlocked({ pool, replicas, last, nowMs, supports }: StatusSources): string | null {
  if (replicas.some((replica) => (replica.phase === 'Ready' && !replica.terminating) || isOnItsWay(replica)))
    return null;
  if (pool.policyName === null) return `pool ${pool.key} has no ScalePolicy, so nothing can wake it`;
  if (pool.scale.paused) return `ScalePolicy ${pool.policyName} is paused and no replica runs`;
  if (pool.scale.mode !== 'Native') {
    return `ScalePolicy ${pool.policyName} has mode ${pool.scale.mode}: it starts no replica, and none runs`;
  }
  const usable = pool.targets.filter((target) => target.maxReplicas > 0 && supports(target));
  if (usable.length === 0) return `ScalePolicy ${pool.policyName} has no target that may run a replica here`;
  return brokenWhy(last?.snapshot, nowMs);
}

function brokenWhy(snapshot: Snapshot | undefined, nowMs: number): string | null {
  const targets = snapshot?.targets.filter(({ maxReplicas }) => maxReplicas > 0) ?? [];
  if (targets.length === 0 || !targets.every(({ breaker }) => isOpen(breaker))) return null;
  const [target] = targets;
  if (target === undefined) return null;
  const { failures, message, retryAtMs } = target.breaker;
  const retry = formatDuration(Math.max(0, (retryAtMs ?? nowMs) - nowMs));
  return `the last ${failures} boots of target ${target.name} failed (${message ?? 'no message'}); next try in ${retry}`;
}

/** Time to the next ready replica: of those that boot, or of one ordered now. Null when none would come. */
function nextReady({ last, nowMs }: StatusSources, blockedWhy: string | null): PoolStatus['nextReadyMs'] {
  if (last === undefined || blockedWhy !== null) return null;
  const { snapshot } = last;
  const ageMs = nowMs - snapshot.nowMs;
  const left = snapshot.replicas.filter(isBooting).flatMap(({ remaining }) => (remaining === null ? [] : [remaining]));
  if (left.length > 0) {
    const least = (quantile: 'p50Ms' | 'p90Ms'): number =>
      Math.round(Math.max(0, Math.min(...left.map((quantiles) => quantiles[quantile])) - ageMs));
    return { p50: least('p50Ms'), p90: least('p90Ms') };
  }
  const [first] = snapshot.targets;
  return first === undefined
    ? null
    : { p50: Math.round(first.coldStart.p50Ms), p90: Math.round(first.coldStart.p90Ms) };
}
