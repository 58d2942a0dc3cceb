import type { PoolSpec } from '../core/objects.ts';
import type { BypassTraffic, Frozen, PoolStatus } from '../core/replicas.ts';
import type { DecisionRecord } from './decision-log.ts';
import { isOpen } from './policy/breaker.ts';
import { desiredTotal } from './policy/decision.ts';
import { isBlocked, lacksCapacity, nextTarget, noOrderWhy } from './policy/holds.ts';
import { drainedWords, type PeopleOrders } from './policy/people-orders.ts';
import { isBooting } from './policy/pod-order.ts';
import { rfc3339 } from './policy/policy-conditions.ts';
import type { Snapshot, TargetView } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';

export interface StatusSources {
  readonly pool: PoolSpec;
  readonly replicas: readonly TargetReplica[];
  /** Undefined before the first look. */
  readonly last: DecisionRecord | undefined;
  /** Monotonic. */
  readonly nowMs: number;
  readonly nowEpochMs: number;
  readonly orders: PeopleOrders;
  readonly frozen: Frozen | null;
  readonly bypassTraffic: BypassTraffic | null;
  readonly supports: (target: PoolSpec['targets'][number]) => boolean;
}

type Now = Pick<StatusSources, 'nowMs' | 'nowEpochMs'>;

/** What a pool is doing, from its replicas as they are now and the last decision. */
export function poolStatus(sources: StatusSources): PoolStatus {
  const { pool, replicas, last, frozen, bypassTraffic } = sources;
  const blockedWhy = whyBlocked(sources);
  return {
    pool: pool.key,
    phase: phaseOf(sources, blockedWhy),
    desiredReplicas: last === undefined ? 0 : desiredTotal(last.decision),
    replicas,
    nextReadyMs: nextReady(sources, blockedWhy),
    lastDecision: lastDecision(sources),
    blockedWhy,
    frozen,
    bypassTraffic,
    saturationRatio: last?.snapshot.saturationRatio ?? null,
  };
}

/** A pool of which something is not known from the start has only its hold to tell. */
function lastDecision({ last, frozen }: StatusSources): PoolStatus['lastDecision'] {
  if (last !== undefined) {
    return { atEpochMs: last.lastAtEpochMs, rule: last.decision.rule, sentence: last.decision.sentence };
  }
  if (frozen === null) return null;
  return { atEpochMs: frozen.sinceEpochMs, rule: 'hold', sentence: `hold: ${frozen.source}: ${frozen.why}` };
}

function phaseOf({ pool, replicas, orders }: StatusSources, blockedWhy: string | null): PoolStatus['phase'] {
  if (pool.scale.paused || orders.paused) return 'Paused';
  if (replicas.some(({ phase }) => phase === 'Ready')) return 'Ready';
  const coming = replicas.filter(isOnItsWay);
  // Given up for now by its target, but not for want of a working boot: it serves nobody until there is room.
  if (coming.length > 0) return coming.every(({ phase }) => phase === 'Stuck') ? 'Stalled' : 'Waking';
  if (replicas.some(({ phase }) => phase === 'Draining')) return 'Draining';
  return blockedWhy === null || orders.drainLeftMs !== null ? 'Asleep' : 'Stalled';
}

function isOnItsWay({ phase, terminating, trouble }: TargetReplica): boolean {
  if (terminating || phase === 'Ready' || phase === 'Draining') return false;
  return phase !== 'Stuck' || lacksCapacity(trouble);
}

/** Why nothing serves the pool and nothing can; null while a replica is ready or on its way. */
function whyBlocked(sources: StatusSources): string | null {
  const { pool, replicas, last, orders, supports } = sources;
  if (replicas.some((replica) => (replica.phase === 'Ready' && !replica.terminating) || isOnItsWay(replica)))
    return null;
  if (pool.policyName === null) return `pool ${pool.key} has no ScalePolicy, so nothing can wake it`;
  if (pool.scale.paused) return `ScalePolicy ${pool.policyName} is paused and no replica runs`;
  if (orders.paused) return `pool ${pool.key} is paused${byWhom(orders)} and no replica runs; resume it to wake it`;
  if (orders.drainLeftMs !== null) {
    return `pool ${pool.key} is ${drainedWords(orders, orders.drainLeftMs)}; a wake order ends that`;
  }
  if (pool.scale.mode !== 'Native') {
    return `ScalePolicy ${pool.policyName} has mode ${pool.scale.mode}: it starts no replica, and none runs`;
  }
  const usable = pool.targets.filter((target) => target.maxReplicas > 0 && supports(target));
  if (usable.length === 0) return `ScalePolicy ${pool.policyName} has no target that may run a replica here`;
  return noTargetWhy(last?.snapshot, sources);
}

function byWhom({ by }: PeopleOrders): string {
  return by === null ? '' : ` by ${by}`;
}

/** Why every target is out of use; null when one is not. */
function noTargetWhy(snapshot: Snapshot | undefined, now: Now): string | null {
  const targets = snapshot?.targets.filter(({ maxReplicas }) => maxReplicas > 0) ?? [];
  const whys = targets.map((target) => brokenWhy(target, now) ?? heldTargetWhy(target, snapshot));
  return whys.length === 0 || whys.includes(null) ? null : whys.join('; ');
}

function heldTargetWhy(target: TargetView, snapshot: Snapshot | undefined): string | null {
  const why = noOrderWhy(target, snapshot?.replicas ?? []);
  return why === null ? null : `target ${target.name} takes no order: ${why}`;
}

function brokenWhy({ name, breaker }: TargetView, { nowMs, nowEpochMs }: Now): string | null {
  if (!isOpen(breaker)) return null;
  const { failures, message, retryAtMs } = breaker;
  const isDue = retryAtMs === null || retryAtMs <= nowMs;
  const retry = isDue ? 'the next try is due' : `next try at ${rfc3339(nowEpochMs + retryAtMs - nowMs)}`;
  return `the last ${failures} boots of target ${name} failed (${message ?? 'no message'}); ${retry}`;
}

/** Time to the next ready replica: of those that boot, or of one ordered now. Null when none would come, or nobody knows. */
function nextReady({ last, nowMs }: StatusSources, blockedWhy: string | null): PoolStatus['nextReadyMs'] {
  if (last === undefined || blockedWhy !== null) return null;
  const { snapshot } = last;
  const ageMs = nowMs - snapshot.nowMs;
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const left = snapshot.replicas
    .filter((replica) => isBooting(replica) && !isBlocked(replica, known.get(replica.target)))
    .flatMap(({ remaining }) => (remaining === null ? [] : [remaining]));
  if (left.length > 0) {
    const least = (quantile: 'p50Ms' | 'p90Ms'): number =>
      Math.round(Math.max(0, Math.min(...left.map((quantiles) => quantiles[quantile])) - ageMs));
    return { p50: least('p50Ms'), p90: least('p90Ms') };
  }
  const next = nextTarget(snapshot);
  return next === undefined ? null : { p50: Math.round(next.coldStart.p50Ms), p90: Math.round(next.coldStart.p90Ms) };
}
