import type { OutcomeKind } from './outcome.ts';
import type { PoolStatus, Replica, WarmUpPhase } from './replicas.ts';

/** What GET /status on the admin listener answers; `pilotlight status`, the demo and the console read it. */
export interface StatusReport {
  readonly version: string;
  readonly installation: string;
  readonly startedAtEpochMs: number;
  readonly nowEpochMs: number;
  readonly ready: boolean;
  /** Why it is not ready, or what is wrong with the objects; for people. */
  readonly problems: readonly string[];
  readonly redis: { readonly source: string; readonly version: string; readonly reachable: boolean };
  readonly pools: readonly PoolReport[];
}

export interface PoolReport {
  readonly pool: string;
  readonly models: readonly string[];
  readonly phase: PoolStatus['phase'];
  readonly desiredReplicas: number;
  readonly replicas: readonly Replica[];
  readonly replicasByPhase: Readonly<Partial<Record<WarmUpPhase, number>>>;
  readonly slots: { readonly open: number; readonly used: number };
  readonly nextReadyMs: PoolStatus['nextReadyMs'];
  readonly lastDecision: PoolStatus['lastDecision'];
  readonly blockedWhy: string | null;
  readonly objectives: readonly ObjectiveReport[];
  readonly usage: GpuUsage;
}

export interface ObjectiveReport {
  readonly objective: string;
  readonly priority: number;
  readonly waitingHeld: number;
  readonly waitingStored: number;
  readonly running: number;
  /** Accepted stored requests without an outcome. */
  readonly stored: number;
  readonly bytes: number;
  readonly oldestWaitMs: number | null;
  readonly arrivedTotal: number;
  /** Since this process started. */
  readonly outcomes: Readonly<Record<OutcomeKind | 'rejected', number>>;
}

/** GPU time of a pool since the process started, beside what leaving every replica on would have used. */
export interface GpuUsage {
  readonly loadingGpuSeconds: number;
  readonly idleGpuSeconds: number;
  readonly busyGpuSeconds: number;
  readonly alwaysOnGpuSeconds: number;
  readonly costUsd: number;
  readonly alwaysOnCostUsd: number;
}
