import type { PodSelection, PoolKey, PoolLimits, PoolSpec } from '../../core/objects.ts';
import { checkSelectors } from './check-selectors.ts';
import { claimModels, type ModelClaims } from './claim-models.ts';
import { claimTargets, type TargetClaims } from './claim-targets.ts';
import type { ObjectSet, SourceObject } from './parse-objects.ts';
import { type Reporter, whichOf } from './report.ts';
import { checkTimes, scaleSettings, UNSCALED } from './scale-settings.ts';
import { compileTargets } from './scale-target.ts';
import type { Surroundings } from './surroundings.ts';

type Policy = SourceObject<'ScalePolicy'>;
type Pool = SourceObject<'InferencePool'>;

export interface PoolInputs extends Surroundings {
  readonly objects: ObjectSet;
  /** Of a pool whose policy names none. */
  readonly limits: PoolLimits;
}

/**
 * Every pool with the one policy that scales it, in the order of the objects. Of files, also the pools that no policy
 * scales; of an API server only those with a policy, because the others are somebody else's.
 */
export function compilePools(inputs: PoolInputs, report: Reporter): Map<PoolKey, PoolSpec> {
  const { objects, limits } = inputs;
  const pools = new Map<PoolKey, PoolSpec>();
  const written = new Map(objects.pools.map((pool) => [pool.key, pool]));
  for (const { key, namespace, name, spec } of inputs.served ? [] : objects.pools) {
    const unscaled = { policyName: null, models: [], targets: [], scale: UNSCALED, limits, onDelete: 'Keep' as const };
    pools.set(key, { key, namespace, name, pods: podsOf(spec), ...unscaled });
  }
  const models: ModelClaims = new Map();
  const workloads: TargetClaims = new Map();
  const owners = new Map<PoolKey, Policy>();
  for (const policy of objects.scalePolicies) {
    if (!isOurs(policy, inputs.installation)) continue;
    const poolName = findPool(policy, written, inputs, report);
    const targets = compileTargets(policy, inputs, report);
    const scale = scaleSettings(policy.spec);
    checkTimes(policy, report);
    if (poolName === undefined) continue;
    const key = `${policy.namespace}/${poolName}`;
    const owner = owners.get(key);
    if (owner) {
      const why = `the pool is already scaled by ${whichOf(owner)}; delete one of the two`;
      report.yields(policy, ['spec'], why);
      continue;
    }
    owners.set(key, policy);
    pools.set(key, {
      key,
      namespace: policy.namespace,
      name: poolName,
      pods: podsOf(policy.spec.pool ?? written.get(key)?.spec),
      onDelete: policy.spec.onDelete,
      policyName: policy.name,
      models: claimModels(policy, models, report),
      targets: claimTargets(policy, targets, workloads, report),
      scale,
      limits: {
        maxRequests: policy.spec.limits.requests ?? limits.maxRequests,
        maxBytes: policy.spec.limits.bytes ?? limits.maxBytes,
      },
    });
  }
  if (!inputs.served) reportUnscaled(objects, owners, report);
  if (inputs.kubernetes) checkSelectors(pools, owners, report);
  return pools;
}

/** Whether this installation acts on the policy. One without a class belongs to whichever reads it. */
export function isOurs({ spec }: Policy, installation: string): boolean {
  return spec.className === undefined || spec.className === installation;
}

function podsOf(pool: Pick<Pool['spec'], 'selector' | 'targetPorts'> | undefined): PodSelection | null {
  if (pool === undefined) return null;
  return { matchLabels: pool.selector.matchLabels, ports: pool.targetPorts.map(({ number }) => number) };
}

/** Name of the pool that a policy is about; undefined when that cannot be told. */
function findPool(
  policy: Policy,
  written: ReadonlyMap<PoolKey, Pool>,
  { objects, served, missing }: PoolInputs,
  report: Reporter,
): string | undefined {
  const { poolRef, pool } = policy.spec;
  if (poolRef && pool) {
    report.error(policy, ['spec'], 'has both poolRef and pool; keep one of them');
    return undefined;
  }
  if (pool) {
    if (!written.has(policy.key)) return policy.name;
    const why = `an InferencePool "${policy.name}" exists too; use poolRef: {name: ${policy.name}}, or rename one`;
    // Whoever may create an InferencePool must not be able to stop a pool that serves.
    if (served) report.warn(policy, ['spec', 'pool'], `${why}. The policy's own pool holds`, 'Conflicted');
    else report.error(policy, ['spec', 'pool'], why);
    return served ? policy.name : undefined;
  }
  if (!poolRef) {
    report.error(policy, ['spec'], 'names no pool; add poolRef: {name: …}, or an inline pool');
    return undefined;
  }
  const key = `${policy.namespace}/${poolRef.name}`;
  if (written.has(key)) return poolRef.name;
  const cause = missing.get('InferencePool');
  if (cause !== undefined) {
    report.error(policy, ['spec', 'poolRef'], `no InferencePool can be read: ${cause}; or use pool`, 'CrdMissing');
  } else if (!objects.broken.has(`InferencePool ${key}`)) {
    const why = `there is no InferencePool "${poolRef.name}" in namespace "${policy.namespace}"; add it or correct the name`;
    report.error(policy, ['spec', 'poolRef', 'name'], why, 'PoolNotFound');
  }
  return undefined;
}

function reportUnscaled(objects: ObjectSet, owners: ReadonlyMap<PoolKey, Policy>, report: Reporter): void {
  const policyIsBroken = [...objects.broken].some((title) => title.startsWith('ScalePolicy '));
  for (const pool of policyIsBroken ? [] : objects.pools) {
    if (owners.has(pool.key)) continue;
    const why = `no ScalePolicy is about it, so it cannot wake; add one with poolRef: {name: ${pool.name}}`;
    report.warn(pool, ['metadata', 'name'], why, 'NotReady');
  }
}
