import type { Replica } from '../../core/replicas.ts';

/** A replica as its scale target knows it. */
export interface TargetReplica extends Replica {
  /** Names what it runs: replicas of one template share boot history and breaker. */
  readonly templateHash: string;
  /** Told to end; it cannot be taken back, and holds its GPU until it is gone. */
  readonly terminating: boolean;
}
