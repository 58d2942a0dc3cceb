import type { KubeObject, KubeOwner } from '../../../core/kubernetes.ts';

/** The fields of a Pod (core/v1) that Pilotlight reads. The API server checks their types; every one may be absent. */
export interface Pod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly schedulingGates?: readonly { readonly name: string }[];
    readonly containers?: readonly PodContainer[];
    readonly initContainers?: readonly PodContainer[];
  };
  readonly status?: {
    /** Pending | Running | Succeeded | Failed | Unknown */
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly podIP?: string;
    readonly startTime?: string;
    readonly conditions?: readonly PodCondition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
  };
}

export interface PodContainer {
  readonly name: string;
  /** `Always` on an init container makes it a native sidecar. */
  readonly restartPolicy?: string;
}

export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly started?: boolean;
  readonly restartCount?: number;
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
}

export interface ContainerState {
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly running?: { readonly startedAt?: string };
  readonly terminated?: TerminatedState;
}

export interface TerminatedState {
  readonly reason?: string;
  readonly message?: string;
  readonly exitCode?: number;
  readonly startedAt?: string;
  readonly finishedAt?: string;
}

export function condition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((candidate) => candidate.type === type);
}

export function isTrue(pod: Pod, type: string): boolean {
  return condition(pod, type)?.status === 'True';
}

export function isReady(pod: Pod): boolean {
  return isTrue(pod, 'Ready');
}

export function isTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Its containers have ended for good: it serves nothing, holds no GPU, and its workload does not count it. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
}

/** Ready since then; null = it is not. */
export function readySinceEpochMs(pod: Pod): number | null {
  const ready = condition(pod, 'Ready');
  return ready?.status === 'True' ? epochMs(ready.lastTransitionTime) : null;
}

/** Null for what is absent or no time. */
export function epochMs(time: string | undefined): number | null {
  const parsed = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(parsed) ? null : parsed;
}

export function controllerOf(pod: Pod): KubeOwner | undefined {
  return pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
}

export function uidOf(pod: Pod): string {
  return pod.metadata.uid ?? `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}

export function namespaceOf(pod: KubeObject): string {
  return pod.metadata.namespace ?? 'default';
}

/**
 * Statuses of the containers that have to run for the pod to serve: its containers and its native sidecars. Init
 * containers that come first are returned only while they have not succeeded.
 */
export function relevantContainers(pod: Pod): readonly ContainerStatus[] {
  const sidecars = new Set(
    (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name),
  );
  const init = (pod.status?.initContainerStatuses ?? []).filter(
    ({ name, state }) => sidecars.has(name) || state?.terminated?.exitCode !== 0,
  );
  return [...init, ...(pod.status?.containerStatuses ?? [])];
}

/** Restarts of its containers and sidecars; init containers do not count, because they run again with the pod. */
export function restartsOf(pod: Pod): number {
  return (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount = 0 }) => sum + restartCount, 0);
}
