import type { Logger } from '../../../core/logger.ts';
import type { PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import { isFinished, type Pod, uidOf } from '../../policy/kube/pod.ts';
import { ordinalOf, type VictimPlan, victimsByCost, victimsByOrdinal } from '../../policy/kube/victims.ts';
import type { PodMarks } from './pod-marks.ts';
import type { PodReplicas } from './pod-replicas.ts';
import { ReplicasChangedError, type ScaledWorkload } from './workload.ts';

export interface StopOrder {
  readonly spec: PoolSpec;
  readonly target: ScaleTarget;
  /** Of any target of the pool. */
  readonly uids: ReadonlySet<string>;
  readonly workload: ScaledWorkload;
  readonly replicas: PodReplicas;
  readonly marks: PodMarks;
  /** Why nothing may be taken away; null = may. */
  readonly refused: string | null;
  readonly log: Logger;
}

/**
 * Ends those replicas of one target that it can end without hitting another one, by one patch. Returns them. Pods that
 * their node refused are deleted: the workload has replaced them and does not count them.
 */
export async function stopReplicas(order: StopOrder): Promise<readonly string[]> {
  const rejected = order.replicas.pods(order.spec, order.target).filter((pod) => isFinished(pod) && asked(order, pod));
  for (const pod of rejected) await order.marks.delete(pod);
  const deleted = rejected.map(uidOf);
  const first = planOf(order);
  const isAsked = first.endsAny || first.plan.leftOut.length > 0;
  if (isAsked && order.refused !== null) throw new Error(order.refused);
  if (!first.endsAny) return deleted;
  const pods = order.replicas.counted(order.spec, order.target);
  await order.marks.chooseAsVictims(pods.filter((pod) => first.plan.needCost.includes(uidOf(pod))));
  // Pods may have changed meanwhile: what was safe before the marks must still be safe now.
  const { plan, lowerBy, unborn, from, endsAny } = planOf(order);
  if (!endsAny) return deleted;
  const lower = (now: number): number => {
    if (now === from) return now - lowerBy;
    throw new ReplicasChangedError(`${order.workload.ref.name} has ${now} replicas and not ${from}`);
  };
  const replicas = lowerBy === 0 ? from : await order.workload.change(lower);
  order.replicas.end(plan.ended);
  order.replicas.recount(order.spec, order.target);
  const { kind, name } = order.workload.ref;
  const { leftOut, ended } = plan;
  order.log.info({ pool: order.spec.key, kind, name, replicas, ended, leftOut }, 'target.replicas_lowered');
  return [...deleted, ...ended, ...unborn];
}

function planOf(order: StopOrder): {
  readonly plan: VictimPlan;
  /** Zero as well when the workload was told before to remove as many, and has not done it yet. */
  readonly lowerBy: number;
  readonly endsAny: boolean;
  readonly unborn: readonly string[];
  readonly from: number;
} {
  const { spec, target, uids, workload, replicas } = order;
  replicas.recount(spec, target);
  const unborn = replicas.unborn(target).list.flatMap(({ uid }) => (uids.has(uid) ? [uid] : []));
  const pods = replicas.counted(spec, target);
  const victims = new Set(pods.filter((pod) => asked(order, pod)).map(uidOf));
  const from = workload.view?.replicas ?? 0;
  const question = { pods, replicas: from, victims, unborn: unborn.length };
  const plan = isNumbered(workload.ref.kind, pods) ? victimsByOrdinal(question) : victimsByCost(question);
  const ending = plan.ended.length + unborn.length;
  // More pods than it asks for: it removes so many anyway, and each step down on top would end one that serves.
  const surplus = Math.max(0, pods.length - from);
  return { plan, lowerBy: Math.max(0, Math.min(from, ending - surplus)), endsAny: ending > 0, unborn, from };
}

function asked({ uids }: StopOrder, pod: Pod): boolean {
  return uids.has(uidOf(pod));
}

function isNumbered(kind: string, pods: readonly Pod[]): boolean {
  if (kind === 'Deployment' || kind === 'ReplicaSet') return false;
  return kind === 'StatefulSet' || (pods.length > 0 && pods.every((pod) => ordinalOf(pod) !== null));
}
