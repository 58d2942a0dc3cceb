import type { PoolOrder } from '../core/pool-orders.ts';
import type { BypassTraffic, Frozen, PoolStatus } from '../core/replicas.ts';
import type { GpuUse } from './gpu-meter.ts';
import type { Breaker } from './policy/breaker.ts';
import type { ColdStart } from './policy/cold-start.ts';
import type { Decision } from './policy/decision.ts';
import type { WaitAdvice } from './policy/wait-advice.ts';
import type { TargetState } from './ports.ts';

/** Everything that the autoscaler tells about one pool at one moment. Plain data, but for the set in `advice`. */
export interface PoolView {
  readonly atEpochMs: number;
  readonly status: PoolStatus;
  /** Null before the first look. */
  readonly advice: WaitAdvice | null;
  /** Null before the first look. */
  readonly decision: DecisionView | null;
  /** The latest decision that wanted another number of replicas than there were; null = none so far. */
  readonly lastStep: DecisionView | null;
  /** As the last look saw it; null before the first one. */
  readonly demand: DemandView | null;
  readonly gpuUse: GpuUse;
  /** Every target of the policy, in its order there. */
  readonly targets: readonly TargetReport[];
  /** What people have ordered, orders that are over included; NO_ORDER when there is none. */
  readonly order: PoolOrder;
  /** Those in force, in one sentence each. */
  readonly orders: readonly string[];
  /** As in `status`. */
  readonly bypassTraffic: BypassTraffic | null;
  /** Used slots of all open ones, 1 = saturated; null = not known yet. */
  readonly saturationRatio: number | null;
  readonly frozen: Frozen | null;
}

/** The last decision, without the snapshot that it saw. */
export interface DecisionView extends Decision {
  readonly atEpochMs: number;
  readonly acted: boolean;
}

export interface DemandView {
  readonly queued: number;
  readonly running: number;
  readonly oldestQueuedAtEpochMs: number | null;
}

export interface TargetReport {
  readonly name: string;
  /** False = nothing in this process can scale it; `state`, `breaker` and `coldStart` are null then. */
  readonly supported: boolean;
  readonly state: TargetState | null;
  readonly readyReplicas: number;
  readonly bootingReplicas: number;
  readonly breaker: BreakerView | null;
  readonly coldStart: ColdStart | null;
  /** Why no replica is ordered, or none taken away, there now, in one sentence; null = nothing holds it back. */
  readonly heldWhy: string | null;
}

export interface BreakerView extends Pick<Breaker, 'failures' | 'message'> {
  readonly isOpen: boolean;
  /** Until the next try; null unless it is open. */
  readonly retryInMs: number | null;
}
