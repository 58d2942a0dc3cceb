import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import type { Catalog, ModelResolution, ObjectiveSpec, PoolSpec } from '../../core/objects.ts';
import { shown } from './fields.ts';

/** Names listed in an error, so that a large installation does not answer a typo with pages. */
const MAX_LISTED = 20;

/** Who asks, among which objects. */
export interface Caller {
  readonly catalog: Catalog;
  readonly identity: Identity;
}

export interface ObjectiveWish {
  readonly name: string;
  /** The field or header it came from, for errors. */
  readonly param: string;
}

/** The model's pool and served name, or why this caller does not get it. */
export function routeModel(caller: Caller, model: string, param = 'model'): ModelResolution | PilotlightError {
  const { catalog, identity } = caller;
  const resolution = catalog.resolveModel(model);
  if (!resolution) {
    const known = listed(visibleModels(caller).map((entry) => entry.name));
    return new PilotlightError(
      'model_not_found',
      `The model '${shown(model)}' does not exist. You can use: ${known}.`,
      { param },
    );
  }
  if (!mayUseModel(identity, model, resolution)) {
    const message = `Tenant '${identity.tenant}' may not use the model '${shown(model)}'; it is not among its allowed models.`;
    return new PilotlightError('model_forbidden', message, { param });
  }
  return resolution;
}

/** The models a caller sees, those of sleeping pools included. */
export function visibleModels({ catalog, identity }: Caller): ReturnType<Catalog['models']> {
  if (identity.allowedModels === null) return catalog.models();
  return catalog.models().filter((entry) => {
    const resolution = catalog.resolveModel(entry.name);
    return resolution !== undefined && mayUseModel(identity, entry.name, resolution);
  });
}

/** Allowing a model allows its aliases; allowing an alias allows that alias alone. */
function mayUseModel(identity: Identity, model: string, { route }: ModelResolution): boolean {
  const allowed = identity.allowedModels;
  return allowed === null || allowed.includes(model) || allowed.includes(route.name);
}

/**
 * The objective of a call: the one that it names (a job's field, a trusted caller's header, a service tier that the
 * tenant maps), else the tenant's default where this pool has it, else the pool's default. What is named must exist
 * and be allowed; a default of the tenant's own needs no allowance.
 */
export function routeObjective(
  caller: Caller,
  pool: PoolSpec,
  wish: ObjectiveWish | null,
): ObjectiveSpec | PilotlightError {
  const { catalog, identity } = caller;
  if (wish) {
    const named = catalog.objective(pool.key, wish.name);
    if (!named) return unknownObjective(caller, pool, wish);
    return mayUseObjective(identity, named.name) ? named : forbidden(caller, pool, wish);
  }
  const { defaultObjective } = identity;
  const ownDefault = defaultObjective === null ? undefined : catalog.objective(pool.key, defaultObjective);
  if (ownDefault) return ownDefault;
  const poolDefault = catalog.defaultObjective(pool.key);
  if (mayUseObjective(identity, poolDefault.name)) return poolDefault;
  return forbidden(caller, pool, { name: poolDefault.name, param: 'objective' });
}

/** The wish that counts, of those a call may carry; null = it names none. */
export function objectiveWish(
  identity: Identity,
  sources: {
    readonly field: string | null;
    /** The field's name for errors; absent = "objective". */
    readonly fieldParam?: string;
    readonly header: string | null;
    readonly serviceTier: string | null;
  },
): ObjectiveWish | null {
  if (sources.field !== null) return { name: sources.field, param: sources.fieldParam ?? 'objective' };
  if (sources.header !== null) return { name: sources.header, param: 'x-llm-d-inference-objective' };
  if (sources.serviceTier === null || !Object.hasOwn(identity.serviceTiers, sources.serviceTier)) return null;
  const mapped = identity.serviceTiers[sources.serviceTier];
  return mapped === undefined ? null : { name: mapped, param: 'service_tier' };
}

function mayUseObjective(identity: Identity, objective: string): boolean {
  return identity.allowedObjectives === null || identity.allowedObjectives.includes(objective);
}

function usableObjectives({ catalog, identity }: Caller, pool: PoolSpec): string {
  const names = catalog.objectivesOf(pool.key).map((objective) => objective.name);
  return listed(names.filter((name) => mayUseObjective(identity, name)));
}

function unknownObjective(caller: Caller, pool: PoolSpec, { name, param }: ObjectiveWish): PilotlightError {
  const usable = usableObjectives(caller, pool);
  const message = `The objective '${shown(name)}' does not exist in pool '${pool.name}'. You can use: ${usable}.`;
  return new PilotlightError('unknown_objective', message, { param });
}

function forbidden(caller: Caller, pool: PoolSpec, { name, param }: ObjectiveWish): PilotlightError {
  const usable = usableObjectives(caller, pool);
  const message = `Tenant '${caller.identity.tenant}' may not use the objective '${name}'. It can use: ${usable}.`;
  return new PilotlightError('objective_forbidden', message, { param });
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return '(none)';
  const shown = names.slice(0, MAX_LISTED).join(', ');
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown;
}
