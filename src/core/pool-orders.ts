import type { PoolKey } from './objects.ts';

/** What people have ordered for one pool, beyond its policy. Everything passes by itself except `paused`. */
export interface PoolOrder {
  /** Until then at least `wakeReplicas` are kept up; null = no such order. */
  readonly wakeUntilEpochMs: number | null;
  readonly wakeReplicas: number;
  /** Until then the pool is emptied through a drain and stays at zero, whatever is queued; null = no such order. */
  readonly drainUntilEpochMs: number | null;
  /** Replicas stay as they are. */
  readonly paused: boolean;
  /** Who ordered last; for people. */
  readonly by: string | null;
}

export const NO_ORDER: PoolOrder = {
  wakeUntilEpochMs: null,
  wakeReplicas: 0,
  drainUntilEpochMs: null,
  paused: false,
  by: null,
};

/** Orders of people, kept where every process of the installation sees them. */
export interface PoolOrders {
  /** As last heard. */
  of(pool: PoolKey): PoolOrder;
  /** Sets what `change` names and leaves the rest. Resolves when it is stored. A wake ends a drain order and the other way round. */
  set(pool: PoolKey, change: Partial<PoolOrder>): Promise<void>;
  onChange(listener: (pool: PoolKey) => void): () => void;
}
