import type { ContainerStatus, Pod, PodCondition } from './objects.ts';

export interface PodView {
  readonly pod: Pod;
  readonly startTime: string;
  /** The pod's network exists. */
  readonly sandboxReady: boolean;
  readonly podIp: string | null;
  readonly hostIp: string;
  readonly initialized: boolean;
  readonly initContainers: readonly ContainerStatus[];
  readonly containers: readonly ContainerStatus[];
  /** Refused by the kubelet: it never ran and never will. */
  readonly refused: { readonly reason: string; readonly message: string } | null;
  readonly disruption: string | null;
}

/** The status that a kubelet writes, as a strategic merge patch, without times of conditions; conditions of others (PodScheduled) are left alone. */
export function podStatus(view: PodView): Record<string, unknown> {
  const { refused, startTime, hostIp, podIp, sandboxReady } = view;
  if (refused !== null) return { phase: 'Failed', startTime, reason: refused.reason, message: refused.message };
  const ips = sandboxReady && podIp !== null ? [{ ip: podIp }] : [];
  return {
    phase: phaseOf(view),
    startTime,
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    podIP: ips[0]?.ip ?? null,
    // The list merges by address; an address that changed must not stay beside the new one.
    podIPs: [...ips, { $patch: 'replace' }],
    ...(view.initContainers.length === 0 ? {} : { initContainerStatuses: view.initContainers }),
    containerStatuses: view.containers,
  };
}

/** In the order of a kubelet. */
export function podConditions(view: PodView): PodCondition[] {
  const { containers, disruption, refused, pod, sandboxReady, initialized } = view;
  if (refused !== null) return [];
  const phase = phaseOf(view);
  const unready = containers.filter(({ ready }) => !ready).map(({ name }) => name);
  const done = phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : null;
  const problem =
    done !== null
      ? { reason: done }
      : unready.length > 0
        ? { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` }
        : null;
  const gates = (pod.spec.readinessGates ?? []).map(({ conditionType }) => conditionType);
  const closed = gates.filter(
    (gate) => !pod.status?.conditions?.some(({ type, status }) => type === gate && status === 'True'),
  );
  const gated =
    closed.length === 0
      ? null
      : {
          reason: 'ReadinessGatesNotReady',
          message: `corresponding condition of pod readiness gate "${closed[0] ?? ''}" does not exist.`,
        };
  return [
    ...(disruption === null ? [] : [condition('DisruptionTarget', true, { reason: disruption })]),
    condition('PodReadyToStartContainers', sandboxReady, null),
    condition('Initialized', initialized, initialized ? null : { reason: 'ContainersNotInitialized' }),
    condition('Ready', problem === null && gated === null, problem ?? gated),
    condition('ContainersReady', problem === null, problem),
  ];
}

function condition(type: string, holds: boolean, why: { reason: string; message?: string } | null): PodCondition {
  return { type, status: holds ? 'True' : 'False', reason: why?.reason ?? null, message: why?.message ?? null };
}

function phaseOf({ containers, pod, initialized }: PodView): string {
  const waiting = containers.some(
    ({ state, lastState }) => state.waiting !== undefined && lastState.terminated === undefined,
  );
  if (!initialized || waiting) return 'Pending';
  const { restartPolicy = 'Always' } = pod.spec;
  const ended = containers.every(({ state }) => state.terminated !== undefined);
  if (!ended) return 'Running';
  const failed = containers.some(({ state }) => state.terminated?.exitCode !== 0);
  if (pod.metadata.deletionTimestamp !== undefined || restartPolicy === 'Never') return failed ? 'Failed' : 'Succeeded';
  return restartPolicy === 'OnFailure' && !failed ? 'Succeeded' : 'Running';
}
