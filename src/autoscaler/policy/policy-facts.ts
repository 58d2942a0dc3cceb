import type { FeedFreshness } from '../../core/kubernetes.ts';
import type { PolicyConditionType } from '../../core/policy-status.ts';
import type { PoolOrder } from '../../core/pool-orders.ts';
import type { PoolStatus } from '../../core/replicas.ts';

/** One answer of those who read the objects. */
export interface Verdict {
  /** True is well; null = not known. */
  readonly status: boolean | null;
  /** CamelCase. */
  readonly reason: string;
  /** With the remedy. */
  readonly message: string;
}

/** What reading an object came to. */
export interface Verdicts {
  /** Of the object that was read. */
  readonly generation: number;
  readonly accepted: Verdict;
  readonly resolvedRefs: Verdict;
}

/** Everything that a ScalePolicy's status is made of. */
export interface PolicyFacts extends Verdicts {
  /** Mode Observe: decides and reports, never writes. */
  readonly observes: boolean;
  /** What the autoscaler knows; null = it has no such pool, or has not looked yet. */
  readonly pool: PoolFacts | null;
  /** Feeds that this policy needs. */
  readonly feeds: readonly FeedFacts[];
  /** Why Redis is not reached; null = it is. */
  readonly redisWhy: string | null;
  /** Null = not checked yet. */
  readonly missingRights: readonly MissingRight[] | null;
  /** What is ignored of the policy's annotations, in sentences. */
  readonly remarks: readonly string[];
}

export interface FeedFacts {
  /** For people: "pods", "scalepolicies.pilotlight.dev". */
  readonly resource: string;
  readonly freshness: FeedFreshness;
}

export interface MissingRight {
  readonly verb: string;
  /** "deployments/scale". */
  readonly resource: string;
  /** Null = in the whole cluster. */
  readonly namespace: string | null;
  /** "cannot patch deployments.apps/scale in namespace chat"; absent = said from the rest. */
  readonly message?: string;
}

/** The part of a PoolView that the status shows. */
export interface PoolFacts {
  readonly status: PoolStatus;
  readonly demand: {
    readonly queued: number;
    readonly running: number;
    readonly oldestQueuedAtEpochMs: number | null;
  } | null;
  readonly decision: {
    readonly atEpochMs: number;
    readonly rule: string;
    readonly sentence: string;
    readonly wouldChange: readonly string[];
  } | null;
  /** The latest that wanted another number of replicas than there were. */
  readonly lastStep?: { readonly sentence: string } | null;
  readonly order: PoolOrder;
  readonly targets: readonly TargetFacts[];
}

export interface TargetFacts {
  readonly name: string;
  readonly readyReplicas: number;
  readonly bootingReplicas: number;
  readonly state: {
    readonly specReplicas: number | null;
    readonly templateHash: string;
    readonly conditions: readonly (Verdict & { readonly type: PolicyConditionType })[];
  } | null;
  readonly breaker: {
    readonly isOpen: boolean;
    readonly failures: number;
    readonly message: string | null;
    readonly retryInMs: number | null;
  } | null;
  readonly heldWhy: string | null;
}
