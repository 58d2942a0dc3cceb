import type { PoolKey, PoolSpec, ScaleTarget } from '../core/objects.ts';
import type { TargetReplica } from './policy/target-replica.ts';

export interface StartOrder {
  readonly pool: PoolSpec;
  readonly target: ScaleTarget;
  readonly count: number;
}

/** What starts and ends replicas: local processes, or later anything with a /scale in Kubernetes. */
export interface ScaleTargetPort {
  supports(target: ScaleTarget): boolean;
  /** Changes with everything that makes a boot another boot (command, environment), and with nothing else. */
  templateHash(target: ScaleTarget): string;
  /** Every replica of the pool that exists or was asked for, the terminating ones included. */
  replicas(pool: PoolKey): readonly TargetReplica[];
  /** Asks for more replicas; they are listed when it resolves. A boot that fails shows as a Stuck replica. */
  start(order: StartOrder): Promise<void>;
  /** The pool's newest spec: slots of its endpoints change at once, for those that run too. */
  configure(pool: PoolSpec): void;
  /** Marks a ready replica: its endpoints are listed as draining. No effect on any other. */
  drain(uid: string): void;
  undrain(uid: string): void;
  /** Ends a replica whatever it does; its endpoints leave the directory at once. */
  stop(uid: string): void;
  /** Called at once after each change of phase of any replica of that pool. Returns the way to stop. */
  onReplicaChange(listener: (pool: PoolKey) => void): () => void;
}

/** Keeps what was learned over a restart: one JSON document. */
export interface LearnedStateStore {
  /** What was saved last, unchecked; null when there is nothing to be read. */
  load(): Promise<unknown>;
  save(state: unknown): Promise<void>;
}
