import type { Identity } from '../../../../src/core/identity.ts';
import type { Catalog, ModelRoute, ObjectiveSpec, PoolSpec } from '../../../../src/core/objects.ts';
import { NO_QUOTAS } from '../../../../src/core/tenants.ts';

/** A tenant that may do everything, changed where a test says. */
export function identity(changes: Partial<Identity> = {}): Identity {
  return {
    tenant: 'acme',
    trusted: false,
    defaultObjective: null,
    allowedObjectives: null,
    allowedModels: null,
    serviceTiers: {},
    weight: 1,
    quotas: NO_QUOTAS,
    ...changes,
  };
}

export function objective(name: string, changes: Partial<ObjectiveSpec> = {}): ObjectiveSpec {
  return {
    name,
    namespace: 'default',
    pool: 'default/chat',
    priority: 0,
    activation: 'Immediate',
    maxWaitMs: 60_000,
    queueTtlMs: null,
    defaultDeadlineMs: null,
    shedAtPercent: 90,
    queueTtlStopsWithoutCapacity: false,
    guaranteedSharePercent: 0,
    agingMs: null,
    reservedSlotsPercent: 0,
    reservedLapseMs: 0,
    paused: false,
    mayExtendKeepWarm: true,
    maxStoredRequests: 50_000,
    maxStoredBytes: 1_000_000_000,
    ...changes,
  };
}

export function poolSpec(models: readonly ModelRoute[]): PoolSpec {
  return {
    key: 'default/chat',
    namespace: 'default',
    name: 'chat',
    policyName: 'chat',
    models,
    targets: [],
    pods: null,
    onDelete: 'Keep',
    scale: {
      mode: 'Native',
      paused: false,
      keepWarmMs: 'Auto',
      keepWarmMaxMs: 600_000,
      drainTargetMs: 'Auto',
      scaleDownAfterMs: 'Auto',
      minEfficiencyPercent: 50,
      maxBootsInFlight: 1,
      coldStartPriorMs: 60_000,
      requestPriorMs: 1_000,
      bootTimeoutMs: 600_000,
      drainTimeoutMs: 60_000,
    },
    limits: { maxRequests: 100_000, maxBytes: 2_000_000_000 },
  };
}

const MODELS: readonly ModelRoute[] = [
  { name: 'tiny', aliases: ['gpt-4o-mini'] },
  { name: 'tiny-sql', aliases: [], adapter: 'sql-lora' },
];

const OBJECTIVES = [
  objective('interactive', { priority: 100 }),
  objective('nightly', { priority: -10, shedAtPercent: 50, queueTtlMs: 60_000, defaultDeadlineMs: 3_600_000 }),
];

/** One pool "default/chat" with models tiny (alias gpt-4o-mini) and tiny-sql (an adapter), objectives interactive and nightly. */
export function fakeCatalog(): Catalog {
  const pool = poolSpec(MODELS);
  const byDefault = objective('default');
  return {
    generation: 1,
    pools: new Map([[pool.key, pool]]),
    objectivesOf: () => OBJECTIVES,
    objective: (key, name) => OBJECTIVES.find((entry) => key === pool.key && entry.name === name),
    defaultObjective: () => byDefault,
    resolveModel(model) {
      const route = MODELS.find((entry) => entry.name === model || entry.aliases.includes(model));
      return route && { pool, route, servedModel: route.adapter ?? route.name };
    },
    rewrite: (resolution) => resolution,
    models: () =>
      MODELS.flatMap((route) =>
        [route.name, ...route.aliases].map((name) => ({ name, pool: pool.key, createdAtEpochMs: 1_700_000_000_000 })),
      ),
  };
}
