import { closedBreaker } from '../../../../src/autoscaler/policy/breaker.ts';
import { noPeopleOrders } from '../../../../src/autoscaler/policy/people-orders.ts';
import type {
  DueView,
  ObjectiveView,
  ReplicaView,
  Snapshot,
  TargetView,
} from '../../../../src/autoscaler/policy/snapshot.ts';
import type { ObjectiveDemand } from '../../../../src/core/live-order.ts';
import type {
  Catalog,
  CatalogSource,
  ObjectiveSpec,
  PoolSpec,
  ScaleSettings,
  ScaleTarget,
} from '../../../../src/core/objects.ts';

export const scale: ScaleSettings = {
  mode: 'Native',
  paused: false,
  keepWarmMs: 'Auto',
  keepWarmMaxMs: 900_000,
  drainTargetMs: 'Auto',
  scaleDownAfterMs: 'Auto',
  minEfficiencyPercent: 50,
  maxBootsInFlight: 8,
  coldStartPriorMs: 300_000,
  requestPriorMs: 25_000,
  bootTimeoutMs: 900_000,
  drainTimeoutMs: 60_000,
};

export function scaleTarget(over: Partial<ScaleTarget> = {}): ScaleTarget {
  return {
    name: 'gpu',
    process: { command: ['serve'], env: {}, readinessPath: '/health', readinessEveryMs: 1_000 },
    minReplicas: 0,
    maxReplicas: 20,
    slotsPerEndpoint: 32,
    pricePerGpuHour: 2,
    gpusPerReplica: 1,
    preference: 0,
    ...over,
  };
}

export function poolSpec(over: Partial<PoolSpec> = {}): PoolSpec {
  return {
    key: 'default/llama',
    namespace: 'default',
    name: 'llama',
    pods: null,
    onDelete: 'Keep',
    policyName: 'llama',
    models: [{ name: 'llama', aliases: [] }],
    targets: [scaleTarget()],
    scale,
    limits: { maxRequests: 50_000, maxBytes: 1e9 },
    ...over,
  };
}

export function objectiveSpec(over: Partial<ObjectiveSpec> = {}): ObjectiveSpec {
  return {
    name: 'chat',
    namespace: 'default',
    pool: 'default/llama',
    priority: 100,
    activation: 'Immediate',
    maxWaitMs: 3_600_000,
    queueTtlMs: null,
    defaultDeadlineMs: null,
    shedAtPercent: 99,
    queueTtlStopsWithoutCapacity: false,
    guaranteedSharePercent: 0,
    agingMs: null,
    reservedSlotsPercent: 0,
    reservedLapseMs: 0,
    paused: false,
    mayExtendKeepWarm: true,
    maxStoredRequests: 50_000,
    maxStoredBytes: 1e9,
    ...over,
  };
}

/** A catalog that a test can change. */
export class FakeCatalog implements CatalogSource {
  #pools: readonly PoolSpec[];
  #objectives: readonly ObjectiveSpec[];
  #listeners = new Set<(catalog: Catalog) => void>();
  #generation = 1;

  constructor(pools: readonly PoolSpec[], objectives: readonly ObjectiveSpec[]) {
    this.#pools = pools;
    this.#objectives = objectives;
  }

  change(pools: readonly PoolSpec[]): void {
    this.#pools = pools;
    this.#generation += 1;
    for (const listener of this.#listeners) listener(this.current());
  }

  current(): Catalog {
    const objectives = this.#objectives;
    const known = new Set(this.#pools.map(({ key }) => key));
    return {
      generation: this.#generation,
      pools: new Map(this.#pools.map((pool) => [pool.key, pool])),
      objectivesOf: () => objectives,
      objective: (pool, name) =>
        known.has(pool) ? objectives.find((objective) => objective.name === name) : undefined,
      // As the real one: a pool that is gone has none.
      defaultObjective: (pool) => {
        if (!known.has(pool)) throw new RangeError(`pool "${pool}" is not in the catalog`);
        return objectiveSpec({ name: 'default', priority: 0 });
      },
      resolveModel: () => undefined,
      rewrite: (resolution) => resolution,
      models: () => [],
    };
  }

  onChange(listener: (catalog: Catalog) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function demand(over: Partial<ObjectiveDemand> = {}): ObjectiveDemand {
  return {
    objective: 'chat',
    priority: 100,
    waitingHeld: 0,
    waitingStored: 0,
    running: 0,
    stored: 0,
    bytes: 0,
    costTokens: 0,
    oldestAtEpochMs: null,
    deadlines: [],
    arrivedTotal: 0,
    releasedTotal: 0,
    slotMsTotal: 0,
    releasedCostTokensTotal: 0,
    settledTotal: 0,
    ...over,
  };
}

/** A target whose cold start is known: 300 s, 390 s at the 90th percentile. */
export function targetView(over: Partial<TargetView> = {}): TargetView {
  return {
    name: 'gpu',
    minReplicas: 0,
    maxReplicas: 20,
    pricePerGpuHour: 2,
    gpusPerReplica: 1,
    preference: 0,
    slots: 32,
    templateHash: 'hash',
    coldStart: { p50Ms: 300_000, p90Ms: 390_000, boots: 20 },
    breaker: closedBreaker,
    noUpWhy: null,
    noDownWhy: null,
    rollsItself: false,
    specReplicas: null,
    ...over,
  };
}

export function objectiveView(over: Partial<ObjectiveView> = {}): ObjectiveView {
  return {
    name: 'chat',
    priority: 100,
    activation: 'Immediate',
    isGuest: false,
    paused: false,
    maxWaitMs: 3_600_000,
    queued: 0,
    running: 0,
    oldestAgeMs: null,
    due: [],
    slotMsPerRequest: 25_000,
    slotMsPerQueued: over.slotMsPerRequest ?? 25_000,
    perS60: 0,
    perS300: 0,
    ...over,
  };
}

/** Work that is due in `deadlineInMs`, of requests of 25 s; it was given that and what is said to be over of it. */
export function dueView(requests: number, deadlineInMs: number, over: Partial<DueView> = {}): DueView {
  return {
    requests,
    slotMs: requests * 25_000,
    deadlineEpochMs: Date.UTC(2026, 10, 23, 6) + deadlineInMs,
    deadlineInMs,
    windowMs: deadlineInMs,
    ...over,
  };
}

export function replicaView(over: Partial<ReplicaView> = {}): ReplicaView {
  return {
    uid: 'replica-1',
    target: 'gpu',
    templateHash: 'hash',
    phase: 'Ready',
    inPhaseMs: 1_000_000,
    sinceRequestedMs: 1_300_000,
    terminating: false,
    remaining: null,
    usedSlots: 0,
    gate: 'open',
    trouble: null,
    removalOrder: null,
    ...over,
  };
}

/** Ready replicas replica-1 … replica-n. */
export function ready(count: number, over: Partial<ReplicaView> = {}): ReplicaView[] {
  return Array.from({ length: count }, (_, index) => replicaView({ uid: `replica-${index + 1}`, ...over }));
}

export function booting(uid: string, leftMs: number, over: Partial<ReplicaView> = {}): ReplicaView {
  return replicaView({
    uid,
    phase: 'ModelLoading',
    sinceRequestedMs: 100_000,
    remaining: { p50Ms: leftMs, p90Ms: leftMs, overdue: false },
    gate: null,
    ...over,
  });
}

/** A pool that has been watched long enough for every window; its last activity was now. */
export function snapshot(over: Partial<Snapshot> = {}): Snapshot {
  return {
    pool: 'default/llama',
    nowMs: 10_000_000,
    scale,
    targets: [targetView()],
    objectives: [objectiveView()],
    replicas: [],
    slotUseRatio: 1,
    usedRatio: 1,
    saturationRatio: 1,
    idleMs: 0,
    noDemandMs: 0,
    history: {
      windowMaxPods: 0,
      sinceUpMs: Number.POSITIVE_INFINITY,
      sinceDownMs: Number.POSITIVE_INFINITY,
      guestsOwed: false,
    },
    orders: noPeopleOrders,
    bypass: null,
    ...over,
  };
}
