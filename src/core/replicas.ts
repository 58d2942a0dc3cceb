import type { PoolKey } from './objects.ts';

/**
 * Warm-up of one replica: Requested → Pending → Scheduled → ImagePulling → ContainerStarted → ModelLoading → Ready →
 * Draining, or Stuck. A local process passes through Requested, ContainerStarted, ModelLoading, Ready, Draining.
 */
export const WARM_UP_PHASES = [
  'Requested',
  'Pending',
  'Scheduled',
  'ImagePulling',
  'ContainerStarted',
  'ModelLoading',
  'Ready',
  'Draining',
  'Stuck',
] as const;
export type WarmUpPhase = (typeof WARM_UP_PHASES)[number];

/** What keeps a replica from serving, by its cause; also a condition reason and a metric label, so the list is closed. */
export const BOOT_TROUBLES = [
  'Unschedulable',
  'SchedulingGated',
  'WaitingForGpu',
  'QuotaExceeded',
  'AdmissionRejected',
  'ImagePull',
  'ConfigError',
  'VolumeMount',
  'StartError',
  'CrashLoop',
  'OutOfMemory',
  'Unreachable',
  'Overdue',
  'Flapping',
] as const;
export type BootTroubleKind = (typeof BOOT_TROUBLES)[number];

export interface BootTrouble {
  readonly kind: BootTroubleKind;
  /** What Kubernetes or the process said, and what to do; for people. */
  readonly message: string;
  /** Will not pass by itself or by another try of the same template. */
  readonly permanent: boolean;
  /** While it lasts another replica of this target would meet the same, so none is ordered. */
  readonly blocksOrders: boolean;
}

export interface Replica {
  /** Pod UID, or the local process's own. */
  readonly uid: string;
  readonly pool: PoolKey;
  readonly target: string;
  readonly phase: WarmUpPhase;
  readonly requestedAtEpochMs: number;
  readonly phaseSinceEpochMs: number;
  readonly readyAtEpochMs: number | null;
  /** Endpoint ids it serves, once ready. */
  readonly endpointIds: readonly string[];
  /** Why it is Stuck or restarting; for people. */
  readonly message: string | null;
  readonly restarts: number;
  /** Null = none known. A Stuck replica always has one once its cause is known. */
  readonly trouble: BootTrouble | null;
}

/** Where a pool is with its boot, for callers that wait. */
export interface PoolStatus {
  readonly pool: PoolKey;
  /** Asleep | Waking | Ready | Draining | Stalled | Paused */
  readonly phase: 'Asleep' | 'Waking' | 'Ready' | 'Draining' | 'Stalled' | 'Paused';
  readonly desiredReplicas: number;
  readonly replicas: readonly Replica[];
  /** Until the next replica is ready, if one boots or would be asked for now: median and 90th percentile. */
  readonly nextReadyMs: { readonly p50: number; readonly p90: number } | null;
  /** Last decision in one sentence, with its rule. */
  readonly lastDecision: { readonly atEpochMs: number; readonly rule: string; readonly sentence: string } | null;
  /** Why no capacity can come; null = it can. */
  readonly blockedWhy: string | null;
  /** Replicas stay as they are because something is not known now; null or absent = all is known. */
  readonly frozen?: Frozen | null;
  /** Requests that engines run and that did not come through Pilotlight; null or absent = none was seen. */
  readonly bypassTraffic?: BypassTraffic | null;
  /**
   * Used slots of all open ones when the pool was last looked at: 1 = saturated, also when no slot is open; more while limits
   * that were cut are below what runs. Null or absent = not known.
   */
  readonly saturationRatio?: number | null;
}

/** A source of decisions that does not tell: missing data is never read as zero. */
export interface Frozen {
  /** ledger: the demand is not known · replicas: what runs is not known. */
  readonly source: 'ledger' | 'replicas';
  readonly why: string;
  readonly sinceEpochMs: number;
}

/** Seen by a fresh scrape before a replica was to be ended. */
export interface BypassTraffic {
  readonly requests: number;
  readonly sinceEpochMs: number;
}

export interface PoolStatusSource {
  status(pool: PoolKey): PoolStatus | undefined;
}
