import { expect, test } from 'vitest';
import { KubeApiError } from '../../../../src/core/kubernetes.ts';
import { deploymentTarget, poolSpec } from './support/builders.ts';
import { LLAMA, openWorld, putDeployment } from './support/world.ts';

const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'mistral' };
const LLAMA_POOL = poolSpec();
const MISTRAL_POOL = poolSpec({
  key: 'ml/mistral',
  name: 'mistral',
  policyName: 'mistral',
  pods: { matchLabels: { app: 'mistral' }, ports: [8000] },
  targets: [deploymentTarget({ scaleTargetRef: ref })],
});
const [LLAMA_TARGET, MISTRAL_TARGET] = [deploymentTarget(), deploymentTarget({ scaleTargetRef: ref })];

/** The Role names Deployment llama, and not yet mistral. */
async function openHalfAllowed(refused: RegExp) {
  const world = await openWorld(
    (fake) => {
      putDeployment(fake, 0);
      putDeployment(fake, 0, { name: 'mistral' });
    },
    { pools: [LLAMA_POOL, MISTRAL_POOL] },
  );
  world.kube.before = ({ method, path }) => {
    if (path.includes('/mistral') && refused.test(`${method} ${path}`)) {
      throw new KubeApiError('cannot touch mistral', { status: 403, reason: 'Forbidden' });
    }
  };
  return world;
}

test('a workload that may not be scaled keeps no other one from being scaled', async () => {
  const { target, kube } = await openHalfAllowed(/^PATCH .*scale$/);
  const refused = target.start({ pool: MISTRAL_POOL, target: MISTRAL_TARGET, count: 1 });
  await expect(refused).rejects.toThrow('cannot touch mistral');
  expect(target.state('ml/mistral', MISTRAL_TARGET).noUpWhy).toContain('patch deployments/scale');
  expect(target.state('ml/llama', LLAMA_TARGET)).toMatchObject({ noUpWhy: null, noDownWhy: null });
  await target.start({ pool: LLAMA_POOL, target: LLAMA_TARGET, count: 1 });
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
});

test('a workload that may not be read keeps no other one from being read', async () => {
  const { target, kube, clock } = await openHalfAllowed(/^GET/);
  for (let round = 0; round < 30; round += 1) await clock.advance(1_000);
  const permitted = (pool: string, of: typeof LLAMA_TARGET) =>
    target.state(pool, of).conditions.find(({ type }) => type === 'Permitted')?.status;
  expect(permitted('ml/mistral', MISTRAL_TARGET)).toBe(false);
  expect(permitted('ml/llama', LLAMA_TARGET)).toBe(true);
  kube.scaleAs('kubectl', LLAMA, 2, new Date(clock.epochMs()).toISOString());
  for (let round = 0; round < 11; round += 1) await clock.advance(1_000);
  expect(target.state('ml/llama', LLAMA_TARGET).specReplicas).toBe(2);
  target.close();
});
