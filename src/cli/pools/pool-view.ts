import type { PolicyCondition, PolicyTargetStatus } from '../../core/policy-status.ts';
import type { PoolOrder } from '../../core/pool-orders.ts';
import type { PoolStatus, WarmUpPhase } from '../../core/replicas.ts';
import type { ObjectiveReport } from '../../core/status.ts';

/** What is known of one pool, wherever it was asked. Times in epoch milliseconds. */
export interface PoolView {
  /** "namespace/name" */
  readonly pool: string;
  /** Name of its ScalePolicy; null = not told. */
  readonly policy: string | null;
  readonly models: readonly string[];
  /** Null = no controller has looked yet. */
  readonly phase: PoolStatus['phase'] | null;
  readonly ready: number;
  readonly booting: number;
  readonly desired: number;
  readonly replicasByPhase: Readonly<Partial<Record<WarmUpPhase, number>>>;
  /** Waiting or stored, and not running. */
  readonly queued: number;
  readonly running: number;
  readonly oldestQueuedAtEpochMs: number | null;
  readonly nextReadyAtEpochMs: number | null;
  readonly decision: DecisionTold | null;
  /** Why no capacity can come; null = it can, or the conditions tell. */
  readonly blockedWhy: string | null;
  /** Null = not told where it was asked. */
  readonly objectives: readonly ObjectiveReport[] | null;
  readonly targets: readonly PolicyTargetStatus[];
  readonly conditions: readonly PolicyCondition[];
  /** In force, one sentence each. */
  readonly orders: readonly string[];
}

export interface DecisionTold {
  readonly atEpochMs: number;
  readonly rule: string;
  readonly sentence: string;
  readonly wouldChange: readonly string[];
}

/** A view with what only one pool is asked for. */
export interface PoolDetails extends PoolView {
  /** Null = they could not be read; `replicasUnknownWhy` says why. */
  readonly replicas: readonly ReplicaView[] | null;
  readonly replicasUnknownWhy: string | null;
  /** Replicas that each rule asks for, and the settings they used; null = not told where it was asked. */
  readonly components: Readonly<Record<string, unknown>> | null;
  /** Decisions before the last, newest first. */
  readonly earlier: readonly { readonly atEpochMs: number; readonly rule: string; readonly sentence: string }[];
}

export interface ReplicaView {
  readonly name: string;
  readonly phase: WarmUpPhase;
  readonly phaseSinceEpochMs: number;
  readonly node: string | null;
  readonly restarts: number;
  readonly trouble: string | null;
}

/** An order as it was typed. */
export type PoolCommand =
  /** `forMs` 0 takes the order back. */
  | { readonly verb: 'wake'; readonly forMs: number; readonly replicas: number }
  | { readonly verb: 'drain'; readonly forMs: number }
  | { readonly verb: 'pause' }
  | { readonly verb: 'resume' };

/** A running Pilotlight, or the objects that it writes. Each call throws a CliError or PilotlightError that says what to do. */
export interface PoolSource {
  /** For people: where it looks. */
  readonly where: string;
  /** Of a pool's name without "namespace/"; null = there is none. */
  readonly namespace: string | null;
  pools(signal: AbortSignal): Promise<readonly PoolView[]>;
  details(pool: PoolView, signal: AbortSignal): Promise<PoolDetails>;
  /** Resolves when it is stored, with the orders then in force. */
  order(pool: PoolView, command: PoolCommand, signal: AbortSignal): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The change that a command means. */
export function changeOf(command: PoolCommand, nowEpochMs: number): Partial<PoolOrder> {
  switch (command.verb) {
    case 'wake':
      return command.forMs === 0
        ? { wakeUntilEpochMs: null }
        : { wakeUntilEpochMs: nowEpochMs + command.forMs, wakeReplicas: command.replicas };
    case 'drain':
      return { drainUntilEpochMs: command.forMs === 0 ? null : nowEpochMs + command.forMs };
    default:
      return { paused: command.verb === 'pause' };
  }
}
