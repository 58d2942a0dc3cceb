import type { PoolKey, PoolSpec, ScaleTarget } from '../core/objects.ts';
import type { PolicyConditionType } from '../core/policy-status.ts';
import type { TargetReplica } from './policy/target-replica.ts';

export interface StartOrder {
  readonly pool: PoolSpec;
  readonly target: ScaleTarget;
  readonly count: number;
}

/** A fact about a target that people must see; becomes a condition of its policy. */
export interface TargetCondition {
  readonly type: Extract<PolicyConditionType, 'ResolvedRefs' | 'CapacityAvailable' | 'ReplicasOwned' | 'Permitted'>;
  /** True is well. */
  readonly status: boolean;
  /** CamelCase. */
  readonly reason: string;
  /** One sentence with the remedy. */
  readonly message: string;
}

/** One target as its adapter knows it now. */
export interface TargetState {
  /** Changes with everything that makes a boot another boot (command, image, environment), and with nothing else. */
  readonly templateHash: string;
  /** Why no replica may be ordered, or none may be taken away, now; null = may. One sentence. */
  readonly noUpWhy: string | null;
  readonly noDownWhy: string | null;
  /** The workload itself replaces replicas of an older template (a Deployment's rollout). */
  readonly rollsItself: boolean;
  /** Replicas the target's own object asks for; null = not known or it has no such number. */
  readonly specReplicas: number | null;
  /** Everything that is known, well or not. */
  readonly conditions: readonly TargetCondition[];
}

/** What starts and ends replicas: local processes, or anything with a /scale in Kubernetes. */
export interface ScaleTargetPort {
  supports(target: ScaleTarget): boolean;
  state(pool: PoolKey, target: ScaleTarget): TargetState;
  /**
   * Whether the replicas are known now. False (with the reason) freezes the pool: no source of missing data is read as
   * zero, and no decision is taken.
   */
  available(pool: PoolKey): { readonly ok: true } | { readonly ok: false; readonly why: string };
  /** Every replica of the pool that exists or was asked for, the terminating ones included. */
  replicas(pool: PoolKey): readonly TargetReplica[];
  /** Asks for more replicas; they are listed when it resolves. A boot that fails shows as a Stuck replica. */
  start(order: StartOrder): Promise<void>;
  /** The pool's newest spec: slots of its endpoints change at once, for those that run too. */
  configure(pool: PoolSpec): void;
  /** Marks ready replicas: listed as Draining, and their endpoints as draining, when it resolves. */
  drain(pool: PoolKey, uids: readonly string[]): Promise<void>;
  undrain(pool: PoolKey, uids: readonly string[]): Promise<void>;
  /**
   * Ends replicas whatever they do; their endpoints leave the directory. A target that cannot choose which replica goes
   * leaves out those whose end would hit another one (they are asked for again by the next look). Returns those ended.
   */
  stop(pool: PoolKey, uids: readonly string[]): Promise<readonly string[]>;
  /**
   * The pool's policy is gone: leaves its targets as `onDelete` says and removes every mark of ours. Resolves when done;
   * throws when it could not be done now, and is asked again.
   */
  release(pool: PoolSpec): Promise<void>;
  /** Called at once after each change of a replica or of a target's state of that pool. Returns the way to stop. */
  onReplicaChange(listener: (pool: PoolKey) => void): () => void;
}

/** Asks a model server itself, past every cache: the proof that nothing runs there that did not come through us. */
export interface EngineActivity {
  /** Requests running and waiting inside the engine now; null when it does not tell. Bounded by 1 s. */
  activeRequests(endpointId: string): Promise<number | null>;
}

/** Keeps what was learned over a restart: one JSON document. */
export interface LearnedStateStore {
  /** What was saved last, unchecked; null when there is nothing to be read. */
  load(): Promise<unknown>;
  save(state: unknown): Promise<void>;
}
