import type { Replica } from '../../core/replicas.ts';

/** A replica as its scale target knows it. */
export interface TargetReplica extends Replica {
  /** Names what it runs: replicas of one template share boot history and breaker. */
  readonly templateHash: string;
  /**
   * The place at which its workload would remove it, the highest first (a StatefulSet's ordinal); null = the workload
   * removes the ready replica that it is told to.
   */
  readonly removalOrder: number | null;
  /** Told to end; it cannot be taken back, and holds its GPU until it is gone. */
  readonly terminating: boolean;
}
