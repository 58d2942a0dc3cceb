import type { ObjectiveRules } from './live-order.ts';
import type { Catalog, PoolKey } from './objects.ts';

/** How the live order of a pool treats its objectives, in order of name; none for a pool that is not in the catalog. */
export function orderRules(catalog: Catalog, pool: PoolKey): ObjectiveRules[] {
  if (!catalog.pools.has(pool)) return [];
  return catalog
    .objectivesOf(pool)
    .map((objective) => ({
      objective: objective.name,
      priority: objective.priority,
      guaranteedSharePercent: objective.guaranteedSharePercent,
      agingMs: objective.agingMs,
      reservedSlotsPercent: objective.reservedSlotsPercent,
      reservedLapseMs: objective.reservedLapseMs,
      paused: objective.paused,
    }))
    .sort((a, b) => (a.objective < b.objective ? -1 : 1));
}
