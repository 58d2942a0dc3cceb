import type { Gate } from '../../core/live-order.ts';
import type { ActivationType, PoolKey, ScaleSettings } from '../../core/objects.ts';
import type { BootTrouble, WarmUpPhase } from '../../core/replicas.ts';
import type { Breaker } from './breaker.ts';
import type { ColdStart, Quantiles } from './cold-start.ts';
import type { PeopleOrders } from './people-orders.ts';

/** Everything one decision sees; it holds no clock and no handle, so that it can be kept, shown and decided again. */
export interface Snapshot {
  readonly pool: PoolKey;
  /** Monotonic: for back-offs and intervals. */
  readonly nowMs: number;
  readonly scale: ScaleSettings;
  /** In the order they are used: preference, then price, then name. */
  readonly targets: readonly TargetView[];
  readonly objectives: readonly ObjectiveView[];
  readonly replicas: readonly ReplicaView[];
  /** Share of its slots that a full pod really uses, 0..1. */
  readonly slotUseRatio: number;
  /** Used slots of all slots of the pool now, 0..1. */
  readonly usedRatio: number;
  /** Used of open slots; 1 also when none is open, more while limits are below what runs. */
  readonly saturationRatio: number;
  /** Since the last activity that keeps the pool warm. */
  readonly idleMs: number;
  /** Since anything was queued or running. */
  readonly noDemandMs: number;
  readonly history: DecisionHistory;
  readonly orders: PeopleOrders;
  /** Requests that engines were seen to run past Pilotlight; null = none. Shown, never counted as work. */
  readonly bypass: { readonly requests: number } | null;
}

export interface TargetView {
  readonly name: string;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly pricePerGpuHour: number;
  readonly gpusPerReplica: number;
  readonly preference: number;
  /** Of one endpoint; learned or assumed when the target says Auto. */
  readonly slots: number;
  readonly templateHash: string;
  readonly coldStart: ColdStart;
  readonly breaker: Breaker;
  /** Why no replica may be ordered, or none may be taken away, now; null = may. */
  readonly noUpWhy: string | null;
  readonly noDownWhy: string | null;
  /** The workload itself replaces replicas of an older template. */
  readonly rollsItself: boolean;
  /** What the target's own object asks for; null = not known. */
  readonly specReplicas: number | null;
}

export interface ReplicaView {
  readonly uid: string;
  /** Name of its target; that target may be gone from the pool. */
  readonly target: string;
  readonly templateHash: string;
  readonly phase: WarmUpPhase;
  readonly inPhaseMs: number;
  readonly sinceRequestedMs: number;
  readonly terminating: boolean;
  /** What is left of its boot; null unless it boots. */
  readonly remaining: (Quantiles & { readonly overdue: boolean }) | null;
  readonly usedSlots: number;
  /** As the ledger has it; null = the ledger does not know its endpoints. */
  readonly gate: Gate | null;
  /** What keeps it from serving; null = nothing known. */
  readonly trouble: BootTrouble | null;
  /** Its workload removes the replica with the highest one first; null = the one it is told to. */
  readonly removalOrder: number | null;
}

export interface ObjectiveView {
  readonly name: string;
  readonly priority: number;
  readonly activation: ActivationType;
  /** May not extend keep-warm: it holds the pool only by its own activation. */
  readonly isGuest: boolean;
  /** Gets no slots: what waits counts as nothing. */
  readonly paused: boolean;
  readonly maxWaitMs: number;
  /** Accepted and neither running nor done: waiting in the live order or stored. */
  readonly queued: number;
  readonly running: number;
  readonly oldestAgeMs: number | null;
  /** Of what is accepted and has a deadline, earliest first; what runs is included. */
  readonly due: readonly DueView[];
  /** As measured. */
  readonly slotMsPerRequest: number;
  /** The same for what is queued, by its estimated tokens. */
  readonly slotMsPerQueued: number;
  /** Sustained arrivals per second. */
  readonly perS60: number;
  readonly perS300: number;
}

/** Work of one objective that is due at the same time. */
export interface DueView {
  readonly requests: number;
  readonly slotMs: number;
  readonly deadlineEpochMs: number;
  /** From now; negative once it has passed. */
  readonly deadlineInMs: number;
  /** From acceptance to deadline. */
  readonly windowMs: number;
}

/** What earlier decisions leave for the next one. */
export interface DecisionHistory {
  /** Largest number of pods wanted within the scale-down window; null while the window is not yet covered. */
  readonly windowMaxPods: number | null;
  /** Since the last decision to add and to take away a pod; Infinity = never. */
  readonly sinceUpMs: number;
  readonly sinceDownMs: number;
  /** Work that may not extend keep-warm was owed the pool by its own activation. */
  readonly guestsOwed: boolean;
}

export function queuedSlotMs(objective: ObjectiveView): number {
  return objective.queued * objective.slotMsPerQueued;
}

/** Rest of what runs: half of a request on average. */
export function runningSlotMs(objective: ObjectiveView): number {
  return (objective.running * objective.slotMsPerRequest) / 2;
}

/** What is queued or runs and has no deadline. */
export function undatedRequests({ queued, running, due }: ObjectiveView): number {
  return Math.max(0, queued + running - due.reduce((sum, { requests }) => sum + requests, 0));
}

/** Replicas stay as they are, by the policy or by an order. */
export function isPaused({ scale, orders }: Snapshot): boolean {
  return scale.paused || orders.paused;
}

export function totalQueued(snapshot: Snapshot): number {
  return snapshot.objectives.reduce((sum, { queued }) => sum + queued, 0);
}

export function hasDemand(snapshot: Snapshot): boolean {
  return snapshot.objectives.some(({ queued, running }) => queued + running > 0);
}
