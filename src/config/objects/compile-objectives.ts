import type { ObjectiveSpec, PoolKey, PoolSpec } from '../../core/objects.ts';
import { GuaranteeCheck } from './check-guarantees.ts';
import type { ObjectSet, SourceObject } from './parse-objects.ts';
import { type Reporter, whichOf } from './report.ts';
import { OBJECTIVE_CLASS_LABEL } from './schema/inference-objective.ts';
import { DEFAULT_OBJECTIVE_POLICY, type ObjectivePolicySpec } from './schema/objective-policy.ts';
import type { Surroundings } from './surroundings.ts';

type Objective = SourceObject<'InferenceObjective'>;
type Policy = SourceObject<'ObjectivePolicy'>;

export interface StoredLimits {
  readonly storedRequests: number;
  readonly storedBytes: number;
}

/** An objective and the class it belongs to, if any. */
export interface ClassedObjective {
  readonly spec: ObjectiveSpec;
  readonly className: string | null;
}

/** Every objective with its policy's settings filled in, in the order of the objects. */
export function compileObjectives(
  objects: ObjectSet,
  pools: ReadonlyMap<PoolKey, PoolSpec>,
  { limits, surroundings }: { readonly limits: StoredLimits; readonly surroundings: Surroundings },
  report: Reporter,
): ClassedObjective[] {
  const policies = assignPolicies(objects, surroundings, report);
  const guarantees = new GuaranteeCheck(surroundings, report);
  const written = new Set(objects.pools.map((pool) => pool.key));
  return objects.objectives.map((objective) => {
    const { namespace, name, spec } = objective;
    const pool = `${namespace}/${spec.poolRef.name}`;
    if (
      !pools.has(pool) &&
      !written.has(pool) &&
      !objects.broken.has(`InferencePool ${pool}`) &&
      !objects.broken.has(`ScalePolicy ${pool}`)
    ) {
      const why = `there is no pool "${spec.poolRef.name}" in namespace "${namespace}"; add it or correct the name`;
      report.error(objective, ['spec', 'poolRef', 'name'], why, 'PoolNotFound');
    }
    const policy = policies.get(objective);
    const settings = policy?.spec ?? DEFAULT_OBJECTIVE_POLICY;
    const compiled = objectiveSpec({ namespace, name, pool, priority: spec.priority }, settings, limits);
    return {
      spec: guarantees.admit(compiled, policy),
      className: objective.labels[OBJECTIVE_CLASS_LABEL] ?? null,
    };
  });
}

/** An objective's settings; `policy` says nothing = defaults, of which two depend on priority and activation. */
export function objectiveSpec(
  objective: Pick<ObjectiveSpec, 'namespace' | 'name' | 'pool' | 'priority'>,
  policy: ObjectivePolicySpec,
  limits: StoredLimits,
): ObjectiveSpec {
  return {
    ...objective,
    activation: policy.activation,
    maxWaitMs: policy.maxWait,
    queueTtlMs: policy.queueTtl ?? null,
    queueTtlStopsWithoutCapacity: policy.queueTtlClock === 'WithCapacity',
    defaultDeadlineMs: policy.defaultDeadline ?? null,
    shedAtPercent: policy.shedAtPercent ?? defaultShedAtPercent(objective.priority),
    mayExtendKeepWarm: policy.mayExtendKeepWarm ?? policy.activation === 'Immediate',
    guaranteedSharePercent: policy.guaranteedSharePercent ?? 0,
    agingMs: policy.aging ?? null,
    reservedSlotsPercent: policy.reservedSlots?.percent ?? 0,
    reservedLapseMs: policy.reservedSlots?.lapseAfter ?? 0,
    paused: policy.paused,
    maxStoredRequests: policy.limits.storedRequests ?? limits.storedRequests,
    maxStoredBytes: policy.limits.storedBytes ?? limits.storedBytes,
  };
}

/** Sheddable work leaves half of a pool's budget to others; critical work may fill it almost. */
function defaultShedAtPercent(priority: number): number {
  if (priority < 0) return 50;
  return priority < 100 ? 90 : 99;
}

/** The one policy of each objective: a reference by name comes before a class, an older policy before a newer one. */
function assignPolicies(objects: ObjectSet, surroundings: Surroundings, report: Reporter): Map<Objective, Policy> {
  const byKey = new Map(objects.objectives.map((objective) => [objective.key, objective]));
  const assigned = new Map<Objective, Policy>();
  const assign = (policy: Policy, objective: Objective, at: readonly PropertyKey[]) => {
    const owner = assigned.get(objective);
    if (owner === undefined) assigned.set(objective, policy);
    else if (owner !== policy) {
      const why = `objective "${objective.name}" already follows ${whichOf(owner)}; name it in one policy only`;
      report.warn(policy, at, why, 'Conflicted');
    }
  };
  for (const policy of objects.objectivePolicies) {
    checkPolicy(policy, report);
    for (const [index, { name }] of policy.spec.targetRefs.entries()) {
      const at = ['spec', 'targetRefs', index, 'name'];
      const key = `${policy.namespace}/${name}`;
      const objective = byKey.get(key);
      if (objective) assign(policy, objective, at);
      else if (!objects.broken.has(`InferenceObjective ${key}`)) {
        reportNoObjective(policy, name, at, surroundings, report);
      }
    }
  }
  const byName = new Set(assigned.keys());
  for (const policy of objects.objectivePolicies) {
    const { className } = policy.spec;
    if (className === undefined) continue;
    const members = objects.objectives.filter(
      (one) => one.namespace === policy.namespace && one.labels[OBJECTIVE_CLASS_LABEL] === className,
    );
    for (const objective of members) if (!byName.has(objective)) assign(policy, objective, ['spec', 'className']);
    if (members.length > 0) continue;
    const why = `no InferenceObjective has the label ${OBJECTIVE_CLASS_LABEL}: ${className}; add it to those that are meant`;
    report.warn(policy, ['spec', 'className'], why, 'NotReady');
  }
  return assigned;
}

/** In files a slip of the pen; on a server the objective may come later, and the rest of the policy holds. */
function reportNoObjective(
  policy: Policy,
  name: string,
  at: readonly PropertyKey[],
  { served, missing }: Surroundings,
  report: Reporter,
): void {
  const cause = missing.get('InferenceObjective');
  if (cause !== undefined) {
    report.warn(policy, at, `no InferenceObjective can be read: ${cause}`, 'CrdMissing');
    return;
  }
  const why = `there is no InferenceObjective "${name}" in namespace "${policy.namespace}"; add it or correct the name`;
  if (served) report.warn(policy, at, why, 'ObjectiveNotFound');
  else report.error(policy, at, why, 'ObjectiveNotFound');
}

function checkPolicy(policy: Policy, report: Reporter): void {
  const { targetRefs, className, activation, maxWait, queueTtl } = policy.spec;
  if (targetRefs.length === 0 && className === undefined) {
    report.error(policy, ['spec'], 'applies to nothing; add targetRefs: [{name: …}] or className');
  }
  if (activation !== 'Immediate' && queueTtl !== undefined && queueTtl <= maxWait) {
    const why = `is not longer than maxWait, so ${activation} work may be evicted before it wakes the pool; raise it`;
    report.warn(policy, ['spec', 'queueTtl'], why);
  }
}
