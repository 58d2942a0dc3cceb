import { afterAll, beforeAll, expect, test } from 'vitest';
import { useRedis } from '../support/redis.ts';
import { burst, wrongCalls } from './support/calls.ts';
import { applyRights, type ChartRights, useHelm } from './support/helm.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';

const redis = useRedis();

describeCluster('gateway and controller with the rights of the chart and no others', () => {
  const helm = useHelm();
  const namespace = useNamespace({ nodes: [{ gpus: 2 }] });
  let rights: ChartRights | undefined;

  beforeAll(async () => {
    if (helm.isMissing()) return;
    await applyCrds(namespace().cluster);
    const workloads = [{ apiGroup: 'apps', resource: 'deployments', name: 'chat' }];
    rights = await applyRights(helm(), namespace(), { installation: namespace().name, workloads });
  });
  afterAll(() => rights?.remove());

  const start = (role: 'gateway' | 'controller') =>
    startPilotlight({
      namespace: namespace(),
      redisUrl: redis.url,
      role,
      kubeconfig: rights![role],
      settings: { jobs: { enabled: false } },
    });

  test('a burst wakes the pool, every call is answered, an order is taken, and it goes back to zero', async () => {
    await namespace().apply(simPool({ slots: 8, maxReplicas: 2, keepWarm: '10m' }));
    const [gateway, controller] = await Promise.all([start('gateway'), start('controller')]);
    expect(await wrongCalls(burst(20, { apiUrl: gateway.apiUrl, tokens: 20 }))).toEqual([]);
    expect((await controller.order('chat', 'drain', { for: '1h' })).status).toBe(200);
    await controller.untilPool('chat', 'drained to zero', ({ replicas }) => replicas.length === 0);
    await eventually(async () => (await namespace().pods('app=chat')).length === 0, 'no pod is left');
    await untilCondition(namespace(), 'chat', 'Permitted', ({ status }) => status === 'True');
    for (const one of [gateway, controller]) expect(await one.log()).not.toMatch(/forbidden|not allowed/i);
  });

  test('a workload that the values do not list is left as it is, and the policy names the missing right', async () => {
    await namespace().apply(simPool({ name: 'unlisted', minReplicas: 1 }));
    await start('controller');
    // The target may say it first, or the check of all rights.
    await untilCondition(
      namespace(),
      'unlisted',
      'Permitted',
      ({ status, message }) => status === 'False' && message.includes('deployments'),
    );
    expect(await specReplicas(namespace(), 'unlisted')).toBe(0);
  });
});
