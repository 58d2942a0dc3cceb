import { LWS_GROUP_LABEL } from './assign.ts';
import { controllerOf, isReady, type Pod, uidOf } from './pod.ts';

/** Which replicas one patch can end without hitting another one. */
export interface VictimPlan {
  /** Told to go by lowering the number of replicas by as many. */
  readonly ended: readonly string[];
  /** Those of `ended` that the workload takes first only if it is told so (pod-deletion-cost). */
  readonly needCost: readonly string[];
  /** Would hit another replica now: asked for again later. */
  readonly leftOut: readonly string[];
}

export interface VictimQuestion {
  /** Pods the workload counts: neither terminating nor finished. */
  readonly pods: readonly Pod[];
  /** Replicas it asks for. */
  readonly replicas: number;
  readonly victims: ReadonlySet<string>;
  /** How many of the replicas to end have no pod yet. */
  readonly unborn: number;
}

/**
 * Removal order of the ReplicaSet controller (pkg/controller/controller_utils.go, ActivePodsWithRanks): without a node,
 * then Pending, then not ready, then by pod-deletion-cost. What is not yet created goes before all of them.
 */
export function victimsByCost({ pods, replicas, victims, unborn }: VictimQuestion): VictimPlan {
  const missing = Math.max(0, replicas - pods.length);
  const wanted = pods.filter((pod) => victims.has(uidOf(pod)));
  // Lowering the number by less than what is missing only cancels creations.
  if (unborn < missing) return plan([], [], wanted);
  const ordered = [...pods].sort(
    (a, b) => lifeRank(a) - lifeRank(b) || Number(victims.has(uidOf(b))) - Number(victims.has(uidOf(a))),
  );
  const spared = ordered.findIndex((pod) => !victims.has(uidOf(pod)));
  const ended = spared === -1 ? ordered : ordered.slice(0, spared);
  const lastRank = ended.length === 0 ? 0 : lifeRank(ended[ended.length - 1] as Pod);
  const survivor = spared === -1 ? undefined : ordered[spared];
  const isTied = survivor !== undefined && lifeRank(survivor) === lastRank;
  const needCost = isTied ? ended.filter((pod) => lifeRank(pod) === lastRank) : [];
  return plan(ended, needCost, wanted);
}

/** A StatefulSet or a LeaderWorkerSet removes its highest ordinals, whatever they do. */
export function victimsByOrdinal({ pods, replicas, victims, unborn }: VictimQuestion): VictimPlan {
  const wanted = pods.filter((pod) => victims.has(uidOf(pod)));
  const byOrdinal = [...pods].sort((a, b) => (ordinalOf(b) ?? 0) - (ordinalOf(a) ?? 0));
  const missing = Math.max(0, replicas - pods.length);
  if (unborn < missing) return plan([], [], wanted);
  const spared = byOrdinal.findIndex((pod) => !victims.has(uidOf(pod)));
  return plan(spared === -1 ? byOrdinal : byOrdinal.slice(0, spared), [], wanted);
}

/** Its place in a workload that numbers its replicas; null = it has none. */
export function ordinalOf(pod: Pod): number | null {
  const { labels, name } = pod.metadata;
  const kind = controllerOf(pod)?.kind;
  const group = labels?.[LWS_GROUP_LABEL];
  if (group !== undefined) return wholeNumber(group);
  if (kind === 'ReplicaSet') return null;
  return wholeNumber(labels?.['apps.kubernetes.io/pod-index'] ?? /-(\d+)$/.exec(name)?.[1]);
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** Smaller goes first. */
function lifeRank(pod: Pod): number {
  if ((pod.spec?.nodeName ?? '') === '') return 0;
  if (pod.status?.phase === 'Pending') return 1;
  if (pod.status?.phase === 'Unknown') return 2;
  return isReady(pod) ? 4 : 3;
}

function plan(ended: readonly Pod[], needCost: readonly Pod[], wanted: readonly Pod[]): VictimPlan {
  const goes = new Set(ended.map(uidOf));
  return {
    ended: [...goes],
    needCost: needCost.map(uidOf),
    leftOut: wanted.map(uidOf).filter((uid) => !goes.has(uid)),
  };
}
