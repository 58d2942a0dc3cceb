import type { PoolSpec } from '../../core/objects.ts';
import type { TargetReplica } from './target-replica.ts';

/** How a pool whose policy is gone is brought to its end. */
export interface Leaving {
  /** The pool as its loop runs it on: what is beyond its maxima leaves through a drain. Null = nothing is drained. */
  readonly lower: PoolSpec | null;
  /** The pool as its target is told to release it; null = its replicas are ours alone and end with it. */
  readonly release: PoolSpec | null;
}

/**
 * Local processes end with their policy. A workload of the cluster is left as `onDelete` says; as it is when the policy
 * only observed or was paused, for then nothing of it was ours.
 */
export function leaving(pool: PoolSpec): Leaving {
  const scale = { ...pool.scale, paused: false, mode: 'Native' as const };
  // Without targets every replica is one too many.
  if (pool.pods === null) return { lower: { ...pool, targets: [], scale }, release: null };
  const isOurs = pool.scale.mode === 'Native' && !pool.scale.paused;
  if (pool.onDelete === 'Keep' || !isOurs) return { lower: null, release: { ...pool, onDelete: 'Keep' } };
  const targets = pool.targets.map((target) => ({
    ...target,
    minReplicas: 0,
    maxReplicas: pool.onDelete === 'ScaleToMin' ? target.minReplicas : 0,
  }));
  return { lower: { ...pool, targets, scale }, release: pool };
}

/** Whether nothing has to be drained any more. */
export function isLowered(lower: PoolSpec, replicas: readonly TargetReplica[]): boolean {
  const staying = replicas.filter(({ terminating }) => !terminating);
  if (staying.some(({ phase }) => phase === 'Draining')) return false;
  const most = new Map(lower.targets.map(({ name, maxReplicas }) => [name, maxReplicas]));
  return staying.every(
    ({ target }) => staying.filter((other) => other.target === target).length <= (most.get(target) ?? 0),
  );
}
