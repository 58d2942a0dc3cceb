import type { PoolStatus, WarmUpPhase } from './replicas.ts';

/**
 * `status` of a ScalePolicy as the controller writes it and the CLI reads it. Its schema in the CRD is the same.
 * Counts are of the whole pool; times are RFC 3339.
 */
export interface ScalePolicyStatus {
  readonly observedGeneration: number;
  readonly phase: PoolStatus['phase'];
  readonly readyReplicas: number;
  readonly bootingReplicas: number;
  readonly desiredReplicas: number;
  /** Only phases that occur. */
  readonly replicasByPhase: Readonly<Partial<Record<WarmUpPhase, number>>>;
  /** Waiting in the live order or stored, and not running. */
  readonly queued: number;
  readonly running: number;
  /** Absent when nothing waits. */
  readonly oldestQueuedAt?: string;
  /** Expected time of the next ready replica, while one boots. */
  readonly nextReadyAt?: string;
  readonly lastDecision?: PolicyDecision;
  readonly targets: readonly PolicyTargetStatus[];
  /** Orders of people in force, in one sentence each. */
  readonly orders: readonly string[];
  readonly conditions: readonly PolicyCondition[];
}

export interface PolicyDecision {
  readonly at: string;
  readonly rule: string;
  readonly message: string;
  /** What would change it, one sentence each; at most 8. */
  readonly wouldChange: readonly string[];
}

export interface PolicyTargetStatus {
  readonly name: string;
  /** What the workload's own object asks for; absent = not known. */
  readonly specReplicas?: number;
  readonly readyReplicas: number;
  readonly bootingReplicas: number;
  /** Of what it runs. */
  readonly templateHash?: string;
  /** Why no replica is ordered or taken away there now; absent = nothing holds it back. */
  readonly message?: string;
}

/**
 * Condition types of a ScalePolicy; True is well for all of them.
 *
 * | type | False when |
 * | Accepted | the spec contradicts itself or something older has its pool or a model name (`Conflicted`) |
 * | ResolvedRefs | a pool or target that it names does not exist |
 * | Ready | nothing can serve now; True with reason `Asleep` at zero |
 * | CapacityAvailable | pods cannot be scheduled, quota, broken boots; the reason is the BootTrouble |
 * | ReplicasOwned | something else scales the same workload, or a manual scale is being respected |
 * | Permitted | a right is missing; the message names verb and resource |
 * | TrafficManaged | requests reach its pods past Pilotlight (`BypassTraffic`) |
 * | InSync | what it sees is old: API server, Redis or a CRD is not there |
 */
export const POLICY_CONDITIONS = [
  'Accepted',
  'ResolvedRefs',
  'Ready',
  'CapacityAvailable',
  'ReplicasOwned',
  'Permitted',
  'TrafficManaged',
  'InSync',
] as const;
export type PolicyConditionType = (typeof POLICY_CONDITIONS)[number];

export interface PolicyCondition {
  readonly type: PolicyConditionType;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase. */
  readonly reason: string;
  /** One or two sentences, with the remedy; at most 1,024 characters. */
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** Accepted: as for a ScalePolicy · ResolvedRefs: every objective that it names exists. */
export const OBJECTIVE_POLICY_CONDITIONS = ['Accepted', 'ResolvedRefs'] as const;

/** `status` of an ObjectivePolicy. */
export interface ObjectivePolicyStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly ObjectivePolicyCondition[];
}

export interface ObjectivePolicyCondition extends Omit<PolicyCondition, 'type'> {
  readonly type: (typeof OBJECTIVE_POLICY_CONDITIONS)[number];
}
