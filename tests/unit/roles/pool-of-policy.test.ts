import { expect, test } from 'vitest';
import { poolOf } from '../../../src/roles/cluster/status-writer.ts';
import { FakeCatalog, poolSpec } from '../autoscaler/kube/support/builders.ts';

const policy = (name: string, namespace = 'ml') => ({ metadata: { name, namespace } });

test('a policy is found by its own name, whatever its pool is called, and in its own namespace', () => {
  const pool = poolSpec({ key: 'ml/inference', name: 'inference', policyName: 'llama' });
  const catalog = new FakeCatalog(pool, poolSpec({ key: 'ml/files', policyName: null })).current();
  expect(poolOf(catalog, policy('llama'))).toBe(pool);
  expect(poolOf(catalog, policy('inference'))).toBeUndefined();
  expect(poolOf(catalog, policy('llama', 'other'))).toBeUndefined();
});

test('a policy that is asked for at each look is not searched for among all pools', () => {
  const { catalog, walks } = countingCatalog();
  for (let look = 0; look < 100; look += 1) poolOf(catalog, policy('llama'));
  expect(walks()).toBe(1);
});

/** Counts how often somebody walks through its pools. */
function countingCatalog() {
  const catalog = new FakeCatalog(poolSpec()).current();
  let walks = 0;
  const pools = new Map(catalog.pools);
  const values = pools.values.bind(pools);
  pools.values = () => {
    walks += 1;
    return values();
  };
  return { catalog: { ...catalog, pools }, walks: () => walks };
}
