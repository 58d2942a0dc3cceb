import { expect, test } from 'vitest';
import { crdFiles } from '../../src/config/crds/crds.ts';
import { useRedis } from '../support/redis.ts';
import { burst, wrongCalls } from './support/calls.ts';
import { applyFixtures } from './support/fixtures.ts';
import { describeCluster, openNamespace, ownCluster } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { untilCondition } from './support/policy.ts';
import { scalePolicy, simPool, workload } from './support/sim-pool.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
/** CRDs that are not there are asked for again after 10 to 30 s. */
const NOTICED_MS = 60_000;

describeCluster('a cluster that knows none of the CRDs', () => {
  test('gateway and controller start and name what is missing, and begin to work as CRDs come, ours first', async () => {
    const cluster = await ownCluster();
    const namespace = await openNamespace(cluster, { nodes: [{ gpus: 2 }] });
    const settings = { jobs: { enabled: false } };
    const start = (role: 'gateway' | 'controller') =>
      startPilotlight({ namespace, redisUrl: redis.url, role, settings });
    const [gateway, controller] = await Promise.all([start('gateway'), start('controller')]);
    for (const one of [gateway, controller]) {
      const { problems } = await one.status();
      expect(problems.join('\n')).toMatch(/ScalePolicy \(pilotlight\.dev\/v1alpha1\) is not installed; install/);
      expect(problems.join('\n')).toMatch(/InferencePool \(inference\.networking\.k8s\.io\/v1\) is not installed/);
    }
    const [unknown] = await burst(1, { apiUrl: gateway.apiUrl, model: 'inline' });
    expect(unknown).toMatchObject({ status: 404 });

    for (const file of Object.values(crdFiles())) await cluster.apply(file);
    const pool = { selector: { matchLabels: { app: 'inline' } }, targetPorts: [{ number: 8000 }] };
    const inline = scalePolicy({ name: 'inline', policy: { poolRef: undefined, pool } });
    await namespace.apply([workload({ name: 'inline' }), inline]);
    const referring = simPool({ name: 'referring' });
    await namespace.apply([referring.at(0), referring.at(-1)] as object[]);
    const isKnown = async () => (await gateway.pool('inline')) !== undefined;
    await until(isKnown, 'the gateway knows the pool', NOTICED_MS);
    expect(await wrongCalls(burst(3, { apiUrl: gateway.apiUrl, model: 'inline' }))).toEqual([]);
    const { reason, message } = await untilCondition(
      namespace,
      'referring',
      'ResolvedRefs',
      ({ status }) => status === 'False',
      NOTICED_MS,
    );
    expect(reason).toBe('CrdMissing');
    expect(message).toMatch(/install the CRDs of the Gateway API Inference Extension.*or use pool/);

    await applyFixtures(cluster, 'inferencepools', 'inferenceobjectives.llm-d.ai');
    await namespace.apply(referring.slice(1, -1));
    await untilCondition(namespace, 'referring', 'ResolvedRefs', ({ status }) => status === 'True', NOTICED_MS);
    await until(async () => (await gateway.pool('referring')) !== undefined, 'the gateway knows it too', NOTICED_MS);
    expect(await wrongCalls(burst(3, { apiUrl: gateway.apiUrl, model: 'referring' }))).toEqual([]);
    expect(await wrongCalls(burst(3, { apiUrl: gateway.apiUrl, model: 'inline' }, 'still'))).toEqual([]);
  });
});
