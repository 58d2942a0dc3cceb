import type { PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import { matchesLabels, matchesSelector } from './labels.ts';
import { controllerOf, namespaceOf, type Pod } from './pod.ts';

/** Labels in which a controller writes the hash of the template that a ReplicaSet's name ends with. */
const HASH_LABELS = ['pod-template-hash', 'rollouts-pod-template-hash'] as const;
/** Set by the LeaderWorkerSet controller on each pod of a group. */
export const LWS_NAME_LABEL = 'leaderworkerset.sigs.k8s.io/name';
export const LWS_GROUP_LABEL = 'leaderworkerset.sigs.k8s.io/group-index';
const LWS_WORKER_LABEL = 'leaderworkerset.sigs.k8s.io/worker-index';

export function selects(pool: PoolSpec, pod: Pod): boolean {
  return (
    pool.pods !== null &&
    pool.namespace === namespaceOf(pod) &&
    matchesLabels(pod.metadata.labels, pool.pods.matchLabels)
  );
}

/**
 * The target that a pod belongs to: by its owner (a ReplicaSet's name without the template hash is its Deployment's),
 * by the label of a LeaderWorkerSet, else by `status.selector` of the targets' /scale where it is known.
 * Null = no target of the pool runs it, so no target can end it either.
 */
export function targetOf(
  pod: Pod,
  targets: readonly ScaleTarget[],
  selectorOf: (target: ScaleTarget) => string | null = () => null,
): ScaleTarget | null {
  const scaled = targets.filter(({ scaleTargetRef }) => scaleTargetRef !== undefined);
  const owners = ownersOf(pod);
  const owned = scaled.find(({ scaleTargetRef: ref }) =>
    owners.some(({ kind, name }) => (kind === ref?.kind || kind === null) && name === ref?.name),
  );
  if (owned !== undefined) return owned;
  const { labels } = pod.metadata;
  return scaled.find((target) => matchesSelector(labels, selectorOf(target) ?? '')) ?? null;
}

/** Name of the target an endpoint belongs to for those who know owners only: the pool's only target when none fits. */
export function targetNameOf(pod: Pod, pool: PoolSpec): string {
  const found = targetOf(pod, pool.targets);
  if (found !== null) return found.name;
  const [only] = pool.targets;
  return pool.targets.length === 1 && only !== undefined ? only.name : '';
}

/** Each replica of a LeaderWorkerSet is a group of pods; its leader stands for it. */
export function standsForReplica(pod: Pod): boolean {
  return (pod.metadata.labels?.[LWS_WORKER_LABEL] ?? '0') === '0';
}

/** What may own the pod, nearest first; kind null = any kind (Argo's Rollout and others also own ReplicaSets). */
function ownersOf(pod: Pod): readonly { readonly kind: string | null; readonly name: string }[] {
  const owner = controllerOf(pod);
  const lws = pod.metadata.labels?.[LWS_NAME_LABEL];
  const owners: { kind: string | null; name: string }[] = lws ? [{ kind: 'LeaderWorkerSet', name: lws }] : [];
  if (owner === undefined) return owners;
  owners.push({ kind: owner.kind, name: owner.name });
  if (owner.kind !== 'ReplicaSet') return owners;
  for (const label of HASH_LABELS) {
    const suffix = `-${pod.metadata.labels?.[label] ?? ''}`;
    const kind = label === 'pod-template-hash' ? 'Deployment' : null;
    if (suffix !== '-' && owner.name.endsWith(suffix)) owners.push({ kind, name: owner.name.slice(0, -suffix.length) });
  }
  return owners;
}
