import type { PodSelection, PoolKey, PoolLimits, PoolSpec } from '../../core/objects.ts';
import { claimModels, type ModelClaims } from './claim-models.ts';
import type { FileProbe } from './file-probe.ts';
import type { ObjectSet, SourceObject } from './parse-objects.ts';
import { type Reporter, titleOf } from './report.ts';
import { checkTimes, scaleSettings, UNSCALED } from './scale-settings.ts';
import { compileTargets } from './scale-target.ts';

type Policy = SourceObject<'ScalePolicy'>;

export interface PoolInputs {
  readonly objects: ObjectSet;
  /** This installation's name: a policy with another `className` is not ours. */
  readonly installation: string;
  /** Of a pool whose policy names none. */
  readonly limits: PoolLimits;
  readonly probe: FileProbe;
}

/** Every pool with the one policy that scales it, in the order of the objects. */
export function compilePools(inputs: PoolInputs, report: Reporter): Map<PoolKey, PoolSpec> {
  const { objects, limits } = inputs;
  const pools = new Map<PoolKey, PoolSpec>();
  for (const { key, namespace, name, spec } of objects.pools) {
    const unscaled = { policyName: null, models: [], targets: [], scale: UNSCALED, limits, onDelete: 'Keep' as const };
    pools.set(key, { key, namespace, name, pods: podsOf(spec), ...unscaled });
  }
  const claims: ModelClaims = new Map();
  const owners = new Map<PoolKey, Policy>();
  for (const policy of objects.scalePolicies) {
    if (policy.spec.className !== undefined && policy.spec.className !== inputs.installation) continue;
    const poolName = findPool(policy, objects, report);
    const compiled = { targets: compileTargets(policy, inputs.probe, report), scale: scaleSettings(policy.spec) };
    checkTimes(policy, report);
    if (poolName === undefined) continue;
    const key = `${policy.namespace}/${poolName}`;
    const owner = owners.get(key);
    if (owner) {
      const why = `the pool is already scaled by ${titleOf(owner)} (${owner.document.locate([])}); delete one of the two`;
      report.warn(policy, ['spec'], why, 'Conflicted');
      continue;
    }
    owners.set(key, policy);
    const models = claimModels(policy, claims, report);
    pools.set(key, {
      key,
      namespace: policy.namespace,
      name: poolName,
      pods: podsOf(policy.spec.pool ?? objects.pools.find((pool) => pool.key === key)?.spec),
      onDelete: 'Keep',
      policyName: policy.name,
      models,
      ...compiled,
      limits: {
        maxRequests: policy.spec.limits.requests ?? limits.maxRequests,
        maxBytes: policy.spec.limits.bytes ?? limits.maxBytes,
      },
    });
  }
  reportUnscaled(objects, owners, report);
  return pools;
}

function podsOf(
  pool: Pick<SourceObject<'InferencePool'>['spec'], 'selector' | 'targetPorts'> | undefined,
): PodSelection | null {
  if (pool === undefined) return null;
  return { matchLabels: pool.selector.matchLabels, ports: pool.targetPorts.map(({ number }) => number) };
}

/** Name of the pool that a policy is about; undefined when that cannot be told. */
function findPool(policy: Policy, objects: ObjectSet, report: Reporter): string | undefined {
  const { poolRef, pool } = policy.spec;
  if (poolRef && pool) {
    report.error(policy, ['spec'], 'has both poolRef and pool; keep one of them');
    return undefined;
  }
  if (pool) {
    if (!objects.pools.some((other) => other.key === policy.key)) return policy.name;
    const why = `an InferencePool "${policy.name}" exists too; use poolRef: {name: ${policy.name}}, or rename one`;
    report.error(policy, ['spec', 'pool'], why);
    return undefined;
  }
  if (!poolRef) {
    report.error(policy, ['spec'], 'names no pool; add poolRef: {name: …}, or an inline pool');
    return undefined;
  }
  const key = `${policy.namespace}/${poolRef.name}`;
  if (objects.pools.some((other) => other.key === key)) return poolRef.name;
  if (!objects.broken.has(`InferencePool ${key}`)) {
    const why = `there is no InferencePool "${poolRef.name}" in namespace "${policy.namespace}"; add it or correct the name`;
    report.error(policy, ['spec', 'poolRef', 'name'], why);
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
