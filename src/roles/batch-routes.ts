import type { ResolveRow } from '../batch/validation/ports.ts';
import type { BatchError } from '../core/batches.ts';
import { PilotlightError } from '../core/errors.ts';
import type { CatalogSource } from '../core/objects.ts';
import type { Random } from '../core/random.ts';
import { routeModel, routeObjective } from '../ingress/policy/route-call.ts';

/** Routes rows as live calls are routed: the same models, aliases, rewrites and allow-lists. */
export function rowResolver(catalogSource: CatalogSource, random: Random): ResolveRow {
  return (identity, endpoint, model, objective) => {
    const catalog = catalogSource.current();
    const caller = { catalog, identity };
    const resolution = routeModel(caller, model, 'body.model');
    if (resolution instanceof PilotlightError) return problemOf(resolution);
    const wish = objective === null ? null : { name: objective, param: 'pilotlight.objective' };
    const routed = routeObjective(caller, resolution.pool, wish);
    if (routed instanceof PilotlightError) return problemOf(routed);
    const { route, servedModel } = catalog.rewrite(resolution, model, random.next());
    return {
      pool: resolution.pool.key,
      objective: routed.name,
      path: endpoint,
      model,
      servedModel,
      adapter: route.adapter ?? null,
    };
  };
}

function problemOf({ code, message, param }: PilotlightError): Omit<BatchError, 'line'> {
  return { code, message, param };
}
