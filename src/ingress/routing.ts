import { PilotlightError } from '../core/errors.ts';
import type { ModelResolution, ObjectiveSpec } from '../core/objects.ts';
import type { Exchange, HandlerDeps } from './exchange.ts';
import type { CallFields } from './policy/call-fields.ts';
import { callerWishes } from './policy/control-headers.ts';
import { ttlOfHeaders } from './policy/wished-duration.ts';
import { objectiveWish, routeModel, routeObjective } from './policy/route-call.ts';

/** Where a call goes and in whose name. */
export interface Route {
  readonly resolution: ModelResolution;
  readonly objective: ObjectiveSpec;
  readonly fairnessId: string;
  /** Longest wait that a header asks for; null = none does. */
  readonly ttlMs: number | null;
}

interface RoutedFields {
  readonly fields: CallFields;
  /** Named in the body of a job. */
  readonly objective: string | null;
  /** Where it was named, for errors; absent = "objective". */
  readonly objectiveParam?: string;
  /** Goes before field names in errors. */
  readonly at: string;
}

/**
 * Resolves model and objective for the caller against the objects of this moment. What the caller may use is decided by
 * the name it wrote; rewrites of the pool come after.
 */
export function routeCall(
  { catalog, metrics, ids }: Pick<HandlerDeps, 'catalog' | 'metrics' | 'ids'>,
  { identity, headers }: Exchange,
  { fields, objective, objectiveParam = 'objective', at }: RoutedFields,
): Route | PilotlightError {
  const wishes = callerWishes(headers, identity.trusted);
  if (wishes instanceof PilotlightError) return wishes;
  const ttlMs = ttlOfHeaders(headers);
  if (ttlMs instanceof PilotlightError) return ttlMs;
  for (const header of wishes.ignored) metrics.ignoredHeaders.inc({ header });
  const caller = { catalog: catalog.current(), identity };
  const resolution = routeModel(caller, fields.model, `${at}model`);
  if (resolution instanceof PilotlightError) return resolution;
  const wish = objectiveWish(identity, {
    field: objective,
    fieldParam: objectiveParam,
    header: wishes.objective,
    serviceTier: fields.serviceTier,
  });
  const routed = routeObjective(caller, resolution.pool, wish);
  if (routed instanceof PilotlightError) return routed;
  const rewritten = caller.catalog.rewrite(resolution, fields.model, ids.chance());
  return { resolution: rewritten, objective: routed, fairnessId: wishes.fairnessId ?? identity.tenant, ttlMs };
}
