import type { Catalog, ModelResolution, ObjectiveSpec, PoolKey, PoolSpec } from '../../core/objects.ts';
import { type ClassedObjective, objectiveSpec, type StoredLimits } from './compile-objectives.ts';
import { type PoolRewrites, rewrittenName } from './compile-rewrites.ts';
import { DEFAULT_OBJECTIVE_POLICY } from './schema/objective-policy.ts';

/** Name of the objective of calls that name none. */
const DEFAULT_OBJECTIVE = 'default';

export interface CatalogParts {
  readonly generation: number;
  readonly pools: ReadonlyMap<PoolKey, PoolSpec>;
  readonly objectives: readonly ClassedObjective[];
  readonly rewrites: ReadonlyMap<PoolKey, PoolRewrites>;
  /** Of objectives that no object describes. */
  readonly limits: StoredLimits;
  /** When the policy that a pool's models come from was made. */
  readonly createdAtEpochMs: (pool: PoolSpec, model: string) => number;
}

/** An immutable view of `parts`; every look-up is O(1). */
export function createCatalog(parts: CatalogParts): Catalog {
  const { pools } = parts;
  const byPool = new Map<PoolKey, ObjectiveSpec[]>();
  const byName = new Map<string, ObjectiveSpec>();
  for (const { spec } of parts.objectives) {
    byPool.set(spec.pool, [...(byPool.get(spec.pool) ?? []), spec]);
    byName.set(`${spec.pool} ${spec.name}`, spec);
  }
  // A class stands for its first objective of a pool, so that one word means something in every pool.
  for (const { spec, className } of parts.objectives) {
    const name = `${spec.pool} ${className ?? ''}`;
    if (className !== null && !byName.has(name)) byName.set(name, spec);
  }
  const defaults = new Map([...pools.values()].map((pool) => [pool.key, defaultObjectiveOf(pool, parts.limits)]));
  const routes = new Map<string, ModelResolution>();
  for (const pool of pools.values()) {
    for (const route of pool.models) {
      const resolution = { pool, route, servedModel: route.adapter ?? route.name };
      for (const name of [route.name, ...route.aliases]) routes.set(name, resolution);
    }
  }
  const models = [...routes].map(([name, { pool }]) => ({
    name,
    pool: pool.key,
    createdAtEpochMs: parts.createdAtEpochMs(pool, name),
  }));
  return {
    generation: parts.generation,
    pools,
    objectivesOf: (pool) => byPool.get(pool) ?? [],
    objective: (pool, name) => byName.get(`${pool} ${name}`),
    defaultObjective(pool) {
      const found = byName.get(`${pool} ${DEFAULT_OBJECTIVE}`) ?? defaults.get(pool);
      if (!found) throw new RangeError(`pool "${pool}" is not in the catalog`);
      return found;
    },
    resolveModel: (model) => routes.get(model),
    rewrite(resolution, model, random) {
      const { pool } = resolution;
      const name = rewrittenName(parts.rewrites.get(pool.key), model, random);
      if (name === model) return resolution;
      const target = routes.get(name);
      // A name of the pool keeps its adapter; any other is one that only the model server knows.
      if (target?.pool === pool) return target;
      return { pool, route: { name, aliases: [] }, servedModel: name };
    },
    models: () => models,
  };
}

function defaultObjectiveOf(pool: PoolSpec, limits: StoredLimits): ObjectiveSpec {
  const identity = { namespace: pool.namespace, name: DEFAULT_OBJECTIVE, pool: pool.key, priority: 0 };
  return objectiveSpec(identity, DEFAULT_OBJECTIVE_POLICY, limits);
}
