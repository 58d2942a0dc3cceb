import type { PolicyConditionType } from '../../core/policy-status.ts';
import { BOOT_TROUBLES, type BootTroubleKind } from '../../core/replicas.ts';

export interface ReasonEntry {
  readonly type: PolicyConditionType;
  readonly reason: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly meaning: string;
  /** What to do; '' = nothing. */
  readonly remedy: string;
}

const TROUBLES: Readonly<Record<BootTroubleKind, readonly [meaning: string, remedy: string]>> = {
  Unschedulable: [
    'no node has room for a pod',
    'add nodes with free GPUs, or correct resources, selectors, tolerations',
  ],
  SchedulingGated: ['a scheduling gate holds a pod', 'its owner removes the gate; with Kueue: give the queue quota'],
  WaitingForGpu: ['a pod that is ending still holds the GPU', ''],
  QuotaExceeded: ['a ResourceQuota lets no further pod in', 'raise the quota, or lower maxReplicas'],
  AdmissionRejected: [
    'the API server or the node refuses the pod',
    'correct the template, or the device plugin of the node',
  ],
  ImagePull: [
    'the image cannot be pulled',
    'correct image name, registry or pull secret; a new template is tried at once',
  ],
  ConfigError: ['a Secret or ConfigMap that the pod names is missing', 'create it, or correct the template'],
  VolumeMount: ['a volume cannot be mounted', 'check claim, storage class and node'],
  StartError: ['the container cannot be started', 'correct command or mounts of the template'],
  CrashLoop: ['the model server ends again and again before it is ready', 'read its log: kubectl logs --previous'],
  OutOfMemory: ['the model server is killed for memory', 'raise its memory limit, or load a smaller model or context'],
  Unreachable: [
    'the pod is ready but does not answer at its address',
    'let Pilotlight reach pod addresses (mesh, NetworkPolicy)',
  ],
  Overdue: ['a boot takes longer than boot.timeout', 'raise boot.timeout, or read the log of the pod'],
  Flapping: ['a pod becomes ready and unready again', 'correct its readiness probe, or read its log'],
};

const row = (
  type: PolicyConditionType,
  status: ReasonEntry['status'],
  reason: string,
  meaning: string,
  remedy = '',
): ReasonEntry => ({ type, reason, status, meaning, remedy });

/** Every reason that the controller gives; docs/kubernetes-status.md shows it to people. */
export const POLICY_REASONS: readonly ReasonEntry[] = [
  row('Accepted', 'True', 'Accepted', 'the spec holds'),
  row(
    'Accepted',
    'False',
    'Invalid',
    'the spec contradicts itself or cannot be read',
    'correct the field that is named',
  ),
  row(
    'Accepted',
    'False',
    'Conflicted',
    'an older policy has its pool, a model name or a workload',
    'name another one, or delete the older policy',
  ),
  row('Accepted', 'True', 'NotReady', 'in place, and without effect for now', 'add what the message names'),
  row(
    'Accepted',
    'True',
    'SelectorOverlap',
    'its pods are the pods of another pool, too',
    'make the selectors disjoint',
  ),
  row('ResolvedRefs', 'True', 'ResolvedRefs', 'everything that it names exists'),
  row(
    'ResolvedRefs',
    'False',
    'PoolNotFound',
    'its InferencePool does not exist in its namespace',
    'create it, or correct poolRef',
  ),
  row(
    'ResolvedRefs',
    'False',
    'ObjectiveNotFound',
    'an objective that it names does not exist',
    'create it, or correct targetRefs',
  ),
  row('ResolvedRefs', 'Unknown', 'Invalid', 'not looked at before the object is accepted', 'see Accepted'),
  row(
    'ResolvedRefs',
    'False',
    'TargetNotFound',
    'a workload that it names does not exist',
    'create it, or correct scaleTargetRef',
  ),
  row(
    'ResolvedRefs',
    'False',
    'TargetDeleted',
    'a workload that it names is being deleted',
    'create it again, or remove the target',
  ),
  row('ResolvedRefs', 'False', 'CrdMissing', 'the kind that it names is not installed', 'install the CRD'),
  row('Ready', 'True', 'Serving', 'at least one replica is ready'),
  row('Ready', 'True', 'Asleep', 'at zero; the next call that may wake it does'),
  row('Ready', 'False', 'Waking', 'replicas boot and none is ready yet'),
  row('Ready', 'False', 'Draining', 'the last replicas finish what they run'),
  row('Ready', 'False', 'Stalled', 'nothing serves and nothing can come', 'see the message and CapacityAvailable'),
  row('Ready', 'False', 'Paused', 'paused while no replica is ready', 'resume it: spec.paused, or `pilotlight resume`'),
  row('Ready', 'False', 'NotAccepted', 'the policy has no effect', 'see Accepted'),
  row('Ready', 'Unknown', 'Starting', 'the controller has not looked yet'),
  row('CapacityAvailable', 'True', 'Available', 'nothing is known to keep replicas from coming'),
  ...BOOT_TROUBLES.map((kind) => row('CapacityAvailable', 'False', kind, ...TROUBLES[kind])),
  row(
    'CapacityAvailable',
    'False',
    'BreakerOpen',
    'three boots in a row failed: one try after 1, 2, 4 … 30 min',
    'correct the template; a new one is tried at once',
  ),
  row(
    'CapacityAvailable',
    'Unknown',
    'NotManaged',
    'the policy has no effect, or was not looked at yet',
    'see Accepted',
  ),
  row('ReplicasOwned', 'True', 'SoleWriter', 'nobody else is seen to scale its workloads'),
  row('ReplicasOwned', 'True', 'Observing', 'mode Observe: its workloads are never written to'),
  row(
    'ReplicasOwned',
    'False',
    'TargetTaken',
    'an older pool has the workload',
    'give one of the pools another target',
  ),
  row(
    'ReplicasOwned',
    'False',
    'OtherAutoscaler',
    'an HPA or ScaledObject scales the workload: Pilotlight does not',
    'delete one of the two',
  ),
  row(
    'ReplicasOwned',
    'False',
    'ManualScale',
    'a scale by hand is respected for a while',
    'to keep it longer: `pilotlight wake` or `pause`',
  ),
  row(
    'ReplicasOwned',
    'False',
    'ForeignWriter',
    'somebody sets the replicas back again and again: Pilotlight yields',
    'have him ignore `spec.replicas`, then change the policy',
  ),
  row('ReplicasOwned', 'False', 'Reverted', 'somebody has set the replicas back', 'have him ignore `spec.replicas`'),
  row('ReplicasOwned', 'False', 'SharedPods', 'other pools select its pods, too', 'make the selectors disjoint'),
  row('ReplicasOwned', 'Unknown', 'NotManaged', 'the policy has no effect, or was not looked at yet', 'see Accepted'),
  row('Permitted', 'True', 'RightsComplete', 'no right is missing'),
  row('Permitted', 'False', 'RightsMissing', 'the ServiceAccount lacks a right', 'add verb and resource to its Role'),
  row(
    'Permitted',
    'False',
    'Forbidden',
    'the API server refused a request for a target',
    'add what the message names to the Role',
  ),
  row('Permitted', 'Unknown', 'NotChecked', 'the rights were not checked yet'),
  row('TrafficManaged', 'True', 'ThroughPilotlight', 'no request was seen that did not come through Pilotlight'),
  row(
    'TrafficManaged',
    'False',
    'BypassTraffic',
    'engines run requests that did not come through Pilotlight',
    'send that traffic through Pilotlight; until then its replicas are kept',
  ),
  row('TrafficManaged', 'Unknown', 'NotManaged', 'the policy has no effect, or was not looked at yet', 'see Accepted'),
  row('InSync', 'True', 'InSync', 'everything that a decision needs is known and new'),
  row(
    'InSync',
    'False',
    'RedisUnreachable',
    'the demand is not known: replicas stay as they are',
    'check Redis and the way to it',
  ),
  row(
    'InSync',
    'False',
    'ApiServerStale',
    'the API server is not heard or refuses: replicas stay as they are',
    'check the API server and the ServiceAccount',
  ),
  row('InSync', 'False', 'ResourceMissing', 'the API server does not know a kind that it needs', 'install the CRD'),
  row(
    'InSync',
    'False',
    'DemandUnknown',
    'the ledger does not tell the demand: replicas stay as they are',
    'see the message; it passes after a restart of Redis',
  ),
  row('InSync', 'False', 'ReplicasUnknown', 'what runs is not known: replicas stay as they are', 'see the message'),
  row('InSync', 'Unknown', 'Syncing', 'objects are listed for the first time'),
];
