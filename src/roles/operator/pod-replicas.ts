import { matchesLabels } from '../../autoscaler/policy/kube/labels.ts';
import { isTerminating, type Pod, restartsOf } from '../../autoscaler/policy/kube/pod.ts';
import { type KubeEvent, podEvent } from '../../autoscaler/policy/kube/pod-events.ts';
import { podPhase } from '../../autoscaler/policy/kube/pod-phase.ts';
import type { KubeObject } from '../../core/kubernetes.ts';
import type { WarmUpPhase } from '../../core/replicas.ts';

/** One pod of a pool, as people want to see it. */
export interface PodReplica {
  readonly name: string;
  readonly phase: WarmUpPhase;
  readonly phaseSinceEpochMs: number;
  readonly node: string | null;
  readonly restarts: number;
  /** What keeps it from serving and what to do; null = nothing that its fields tell. */
  readonly trouble: { readonly kind: string; readonly message: string } | null;
}

/** Fields of the spec of an InferencePool, or of `pool` in a ScalePolicy. */
export interface Selecting {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly targetPorts?: readonly { readonly number?: number }[];
}

/**
 * The pods that a selector finds, with the same rules for phases and troubles as the controller's. What only a process
 * that watches can know (how often a pod lost readiness, whether its address answers) is not in it.
 */
export function podReplicas(
  pods: readonly KubeObject[],
  events: readonly KubeObject[],
  selecting: Selecting,
  { nowEpochMs, bootTimeoutMs }: { readonly nowEpochMs: number; readonly bootTimeoutMs: number },
): readonly PodReplica[] {
  const own = pods.filter(({ metadata }) => matchesLabels(metadata.labels, selecting.selector?.matchLabels ?? {}));
  const deviceFreesSoon = own.some((pod) => isTerminating(pod as Pod));
  return own.flatMap((object): PodReplica[] => {
    const pod = object as Pod;
    const createdMs = Date.parse(pod.metadata.creationTimestamp ?? '');
    const ageMs = Number.isNaN(createdMs) ? 0 : Math.max(0, nowEpochMs - createdMs);
    const about = events.filter((event) => (event as KubeEvent).involvedObject?.uid === pod.metadata.uid);
    const found = podPhase(pod, {
      nowEpochMs,
      inStageMs: ageMs,
      events: about.flatMap((event) => podEvent(event as KubeEvent) ?? []),
      deviceFreesSoon,
      readyDrops: 0,
      bootingMs: pod.spec?.nodeName ? ageMs : null,
      bootTimeoutMs,
      reached: null,
    });
    if (found === null) return [];
    const { phase, phaseSinceEpochMs, trouble } = found;
    return [
      {
        name: pod.metadata.name,
        phase,
        phaseSinceEpochMs,
        node: pod.spec?.nodeName ?? null,
        restarts: restartsOf(pod),
        trouble: trouble && { kind: trouble.kind, message: trouble.message },
      },
    ];
  });
}
