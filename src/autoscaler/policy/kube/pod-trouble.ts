import type { BootTrouble, BootTroubleKind } from '../../../core/replicas.ts';
import { formatDuration } from '../../../core/units.ts';
import {
  type ContainerStatus,
  condition,
  epochMs,
  type Pod,
  relevantContainers,
  restartsOf,
  type TerminatedState,
} from './pod.ts';
import { newest, type PodEvent } from './pod-events.ts';
import type { PodStage } from './pod-stage.ts';

/** Limits from the table of docs/kubernetes-scaling.md. */
export const POD_LIMITS = {
  /** Without a sign that a node is on its way, and with one. */
  unschedulableMs: 120_000,
  nodeComingMs: 900_000,
  /** A volume or a sandbox that cannot be prepared. */
  prepareMs: 120_000,
  /** A pull that fails for a reason that may pass. */
  pullMs: 600_000,
  /** A container that ended twice within this time crashes in a loop, whatever the kubelet calls it. */
  crashWindowMs: 900_000,
  /** Ready, but not answering us. */
  unreachableMs: 15_000,
  flapWindowMs: 600_000,
  flaps: 3,
} as const;

export interface TroubleContext {
  readonly stage: PodStage;
  /** By our own clock, so that another clock's error cannot end a boot; counts from a restart of ours anew. */
  readonly inStageMs: number;
  readonly nowEpochMs: number;
  readonly events: readonly PodEvent[];
  /** A pod of the same pool is terminating and still holds its devices. */
  readonly deviceFreesSoon: boolean;
  /** Times it lost readiness within the last 10 minutes. */
  readonly readyDrops: number;
  /** Since it was scheduled, by our own clock; null = not yet. */
  readonly bootingMs: number | null;
  readonly bootTimeoutMs: number;
  /** Whether we have reached its address ourselves; null = not asked, or no answer yet. */
  readonly reached: boolean | null;
}

/** A trouble, and whether the replica is Stuck with it: ended and replaced instead of waited for. */
export interface FoundTrouble {
  readonly trouble: BootTrouble;
  readonly stuck: boolean;
}

/** What keeps this pod from serving, the most telling first; null = nothing that is known. */
export function podTrouble(pod: Pod, context: TroubleContext): FoundTrouble | null {
  const rules = context.stage === 'Pending' ? [gated, unschedulable] : [containers, volumes, flapping, overdue];
  for (const rule of context.stage === 'Ready' ? [unreachable, flapping] : rules) {
    const found = rule(pod, context);
    if (found !== null) return found;
  }
  return null;
}

/** A pod that its node refused (status.phase Failed before any container ran); null for one that ended otherwise. */
export function admissionTrouble(pod: Pod): FoundTrouble | null {
  const { reason = '', message = '', phase } = pod.status ?? {};
  if (phase !== 'Failed' || !/^(OutOf|UnexpectedAdmissionError$|TopologyAffinityError$|NodeAffinity$)/.test(reason)) {
    return null;
  }
  const said = `the node refused the pod (${reason}${message === '' ? '' : `: ${message}`})`;
  return found('AdmissionRejected', `${said}; check the device plugin of node ${pod.spec?.nodeName ?? '?'}`, {
    stuck: true,
  });
}

function gated(pod: Pod): FoundTrouble | null {
  const gates = (pod.spec?.schedulingGates ?? []).map(({ name }) => name);
  if (gates.length === 0) return null;
  const who = gates.some((gate) => gate.includes('kueue'))
    ? 'Kueue admits it when its queue has quota'
    : 'by its owner';
  return found('SchedulingGated', `scheduling is gated by ${gates.join(', ')}; the gate is removed ${who}`, {
    blocksOrders: true,
  });
}

function unschedulable(pod: Pod, context: TroubleContext): FoundTrouble | null {
  const scheduled = condition(pod, 'PodScheduled');
  if (scheduled?.status !== 'False' || scheduled.reason !== 'Unschedulable') return null;
  const said = scheduled.message ?? 'no node fits';
  if (context.deviceFreesSoon) {
    return found('WaitingForGpu', `waits for the GPU of a replica that is ending (${said})`, {});
  }
  const coming = newest(context.events, 'TriggeredScaleUp', 'Nominated');
  const refused = newest(context.events, 'NotTriggerScaleUp');
  const isComing = coming !== undefined && coming.atEpochMs >= (refused?.atEpochMs ?? 0);
  if (isComing && context.inStageMs < POD_LIMITS.nodeComingMs) {
    return found('Unschedulable', `a node is being made for it (${coming.reason}: ${coming.message})`, {});
  }
  const blocksOrders = refused !== undefined || context.inStageMs >= POD_LIMITS.unschedulableMs;
  const why = refused === undefined ? said : `${said}; the cluster autoscaler adds no node: ${refused.message}`;
  const remedy = 'add nodes with free GPUs, or correct resources, nodeSelector or tolerations of its template';
  return found('Unschedulable', `no node for it: ${why}; ${remedy}`, { blocksOrders });
}

function containers(pod: Pod, context: TroubleContext): FoundTrouble | null {
  for (const status of relevantContainers(pod)) {
    const trouble = waitingTrouble(status, context) ?? endedTrouble(pod, status, context);
    if (trouble !== null) return trouble;
  }
  return null;
}

function waitingTrouble(status: ContainerStatus, context: TroubleContext): FoundTrouble | null {
  const { reason = '', message = '' } = status.state?.waiting ?? {};
  const said = `container ${status.name}: ${reason}${message === '' ? '' : `: ${message}`}`;
  switch (reason) {
    case 'InvalidImageName':
    case 'ErrImageNeverPull':
      return found('ImagePull', `${said}; correct the image of its template`, forGood);
    case 'ErrImagePull':
    case 'ImagePullBackOff':
    case 'RegistryUnavailable':
    case 'ErrImageInspect':
      return pullTrouble(said, message, context);
    case 'CreateContainerConfigError':
      return found('ConfigError', `${said}; create the Secret or ConfigMap that it names`, forGood);
    case 'RunContainerError':
    case 'CreateContainerError':
    case 'StartError':
      return found('StartError', `${said}; correct command, mounts or runtime of its template`, startFault(message));
    case 'CrashLoopBackOff':
      return crashTrouble(status, status.lastState?.terminated);
    default:
      return null;
  }
}

const forGood = { permanent: true, blocksOrders: true, stuck: true } as const;
const NEVER_PULLS =
  /not found|manifest unknown|unauthorized|authentication required|authorization failed|denied|forbidden|no such host|invalid reference|repository does not exist|no match for platform/i;

function pullTrouble(said: string, message: string, context: TroubleContext): FoundTrouble {
  const failed = newest(context.events, 'Failed')?.message ?? '';
  const cause = NEVER_PULLS.test(message) ? message : failed;
  const what = message.includes(failed) || failed === '' ? said : `${said} (${failed})`;
  if (NEVER_PULLS.test(cause)) {
    return found('ImagePull', `${what}; correct the image name or the pull secret of its template`, forGood);
  }
  const stuck = context.inStageMs >= POD_LIMITS.pullMs;
  return found('ImagePull', `${what}; check the registry and the network of its node`, { blocksOrders: true, stuck });
}

function startFault(message: string): { permanent: boolean; blocksOrders: boolean; stuck: boolean } {
  const permanent = /executable file not found|no such file or directory|permission denied|exec format/i.test(message);
  return { permanent, blocksOrders: permanent, stuck: true };
}

/** A container that has ended, or runs again after it did. */
function endedTrouble(pod: Pod, status: ContainerStatus, context: TroubleContext): FoundTrouble | null {
  const ended = status.state?.terminated ?? status.lastState?.terminated;
  if (ended === undefined || (status.state?.terminated?.exitCode ?? 1) === 0) return null;
  if (ended.reason === 'StartError' || ended.reason === 'ContainerCannotRun') {
    const said = `container ${status.name} could not start: ${ended.message ?? ended.reason}`;
    return found('StartError', `${said}; correct command or mounts of its template`, startFault(ended.message ?? ''));
  }
  const agoMs = context.nowEpochMs - (epochMs(ended.finishedAt) ?? context.nowEpochMs);
  if (restartsOf(pod) >= 2 && agoMs <= POD_LIMITS.crashWindowMs) return crashTrouble(status, ended);
  if (ended.reason === 'OOMKilled') return { ...crashTrouble(status, ended), stuck: false };
  return null;
}

function crashTrouble(status: ContainerStatus, ended: TerminatedState | undefined): FoundTrouble {
  const times = `${status.restartCount ?? 0} restarts`;
  if (ended?.reason === 'OOMKilled') {
    const remedy = 'raise its memory limit or give the model server less to load';
    return found('OutOfMemory', `container ${status.name} was killed for memory (${times}); ${remedy}`, {
      stuck: true,
    });
  }
  const how = ended === undefined ? '' : `: ${ended.reason ?? 'Error'}, exit code ${ended.exitCode ?? '?'}`;
  const last = ended?.message === undefined ? '' : ` (${ended.message.slice(-300).trim()})`;
  const remedy = `read its log: kubectl logs --previous -c ${status.name}`;
  return found('CrashLoop', `container ${status.name} crashes${how}${last} (${times}); ${remedy}`, { stuck: true });
}

function volumes(_pod: Pod, { stage, events, inStageMs }: TroubleContext): FoundTrouble | null {
  if (stage !== 'Scheduled' && stage !== 'ImagePulling') return null;
  const failed = newest(events, 'FailedMount', 'FailedAttachVolume', 'FailedCreatePodSandBox');
  if (failed === undefined) return null;
  const said = `${failed.reason}: ${failed.message}; check its volumes, their claims and the node`;
  return found('VolumeMount', said, { blocksOrders: true, stuck: inStageMs >= POD_LIMITS.prepareMs });
}

function unreachable(_pod: Pod, { reached, inStageMs }: TroubleContext): FoundTrouble | null {
  if (reached !== false || inStageMs < POD_LIMITS.unreachableMs) return null;
  const why = 'Kubernetes calls it ready, but its address does not answer Pilotlight';
  const remedy =
    'a service mesh or NetworkPolicy hides pod addresses: exempt the port from the mesh, or allow the way in the policy';
  return found('Unreachable', `${why}; ${remedy}`, { permanent: true, blocksOrders: true });
}

function flapping(_pod: Pod, { readyDrops }: TroubleContext): FoundTrouble | null {
  if (readyDrops < POD_LIMITS.flaps) return null;
  const within = formatDuration(POD_LIMITS.flapWindowMs);
  const remedy = 'give its readiness probe more time, or fewer requests to it (slotsPerEndpoint)';
  return found('Flapping', `lost its readiness ${readyDrops} times within ${within}; ${remedy}`, {});
}

function overdue(_pod: Pod, { bootingMs, bootTimeoutMs, stage }: TroubleContext): FoundTrouble | null {
  if (bootingMs === null || bootingMs < bootTimeoutMs) return null;
  const said = `not ready within ${formatDuration(bootTimeoutMs)} (boot.timeout) after it got its node, still ${stage}`;
  return found('Overdue', `${said}: raise it if the model takes that long, else read the pod's log`, { stuck: true });
}

function found(
  kind: BootTroubleKind,
  message: string,
  {
    permanent = false,
    blocksOrders = false,
    stuck = false,
  }: Partial<Record<'permanent' | 'blocksOrders' | 'stuck', boolean>>,
): FoundTrouble {
  return { trouble: { kind, message, permanent, blocksOrders }, stuck };
}
