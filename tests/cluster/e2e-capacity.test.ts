import { beforeAll, expect, test } from 'vitest';
import type { ScalePolicyStatus } from '../../src/core/policy-status.ts';
import { useRedis } from '../support/redis.ts';
import { burst, streamChat, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import type { Pod } from './support/kubelet/objects.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { condition, policyStatus, specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, simPool, workload } from './support/sim-pool.ts';
import { watchPods } from './support/watch-pods.ts';
import { behaviourAnnotations, isReady } from './support/workloads.ts';

const redis = useRedis();
/** One after the other, so that it is known whether a pod found a GPU before the next is asked for. */
const ONE_BOOT = { boot: { expectedDuration: '2s', timeout: '60s', maxInFlight: 1 } };

describeCluster('pods that do not come', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 3 }] });
  beforeAll(() => applyCrds(namespace().cluster));
  const open = () => startPilotlight({ namespace: namespace(), redisUrl: redis.url });

  test('a fourth pod that no GPU is left for is waited for and not joined by a fifth; three pods do the work', async () => {
    await namespace().apply(
      simPool({ name: 'scarce', maxReplicas: 6, slots: 4, sim: ['--speed=2'], policy: ONE_BOOT }),
    );
    const pilotlight = await open();
    const watched = watchPods(namespace(), 'app=scarce');
    const calls = burst(120, { apiUrl: pilotlight.apiUrl, model: 'scarce', tokens: 150 });
    await untilCondition(
      namespace(),
      'scarce',
      'CapacityAvailable',
      ({ status, reason }) => status === 'False' && reason === 'Unschedulable',
    );
    expect(await wrongCalls(calls)).toEqual([]);
    await pilotlight.untilPool('scarce', 'back at zero', ({ replicas }) => replicas.length === 0);
    await untilCondition(namespace(), 'scarce', 'CapacityAvailable', ({ status }) => status === 'True');
    watched.stop();
    expect(watched.mostAtOnce()).toBe(4);
  });

  test('an image that cannot be pulled opens the breaker, and a mended template closes it; nobody who waits is lost', async () => {
    const image = 'registry.example/nothing:1';
    await namespace().apply(simPool({ name: 'mended', image, behaviour: { 'pull-backoff-ms': '100' } }));
    const pilotlight = await open();
    const calls = burst(4, { apiUrl: pilotlight.apiUrl, model: 'mended' });
    const { message } = await untilCondition(
      namespace(),
      'mended',
      'CapacityAvailable',
      ({ reason }) => reason === 'BreakerOpen',
    );
    expect(message).toContain('registry.example/nothing:1');
    await eventually(async () => (await specReplicas(namespace(), 'mended')) === 0, 'the breaker takes the pods away');
    expect((await namespace().pods('app=mended')).length).toBeLessThanOrEqual(1);
    await namespace().apply([workload({ name: 'mended', replicas: 0 })]);
    const wrong = await wrongCalls(calls);
    // Callers are refused while nothing can come; those that came before the first failure was known wait on.
    expect(wrong.filter(({ problem }) => !problem?.includes('boots of target'))).toEqual([]);
    expect(await wrongCalls(burst(4, { apiUrl: pilotlight.apiUrl, model: 'mended' }, 'after'))).toEqual([]);
    await pilotlight.untilPool('mended', 'back at zero', ({ replicas }) => replicas.length === 0);
  });

  test('a pod that is being evicted is not replaced by the end of the one that boots in its place', async () => {
    await namespace().apply(simPool({ name: 'evicted', maxReplicas: 2, slots: 4 }));
    const pilotlight = await open();
    let tokens = 0;
    const long = streamChat({
      ...{ apiUrl: pilotlight.apiUrl, model: 'evicted', label: 'long', tokens: 400 },
      onToken: () => {
        tokens += 1;
      },
    });
    await eventually(() => Promise.resolve(tokens > 0), 'the stream has begun');
    const [first] = (await namespace().pods('app=evicted')) as Pod[];
    await annotate(first, { 'disruption-target': 'EvictionByEvictionAPI' });
    await pilotlight.untilPool('evicted', 'the pod drains', ({ replicas }) =>
      replicas.some(({ phase }) => phase === 'Draining'),
    );
    const more = burst(3, { apiUrl: pilotlight.apiUrl, model: 'evicted' }, 'more');
    let second: Pod | undefined;
    await eventually(async () => {
      const pods = (await namespace().pods('app=evicted')) as Pod[];
      second = pods.find(({ metadata }) => metadata.uid !== first?.metadata.uid);
      return second !== undefined;
    }, 'another pod was ordered');
    expect(await wrongCalls(Promise.all([long]))).toEqual([]);
    expect(await wrongCalls(more)).toEqual([]);
    const survivor = (await namespace().get('v1', 'Pod', second?.metadata.name ?? '')) as Pod | null;
    expect(survivor && isReady(survivor)).toBe(true);
  });

  async function annotate(pod: Pod | undefined, behaviour: Readonly<Record<string, string>>): Promise<void> {
    await namespace().cluster.api.request({
      method: 'PATCH',
      path: `/api/v1/namespaces/${namespace().name}/pods/${pod?.metadata.name ?? ''}`,
      patch: 'merge',
      body: { metadata: { annotations: behaviourAnnotations(behaviour) } },
    });
  }

  test('a policy says why it is at zero', async () => {
    await namespace().apply(simPool({ name: 'asleep' }));
    await open();
    await untilCondition(
      namespace(),
      'asleep',
      'Ready',
      ({ status, reason }) => status === 'True' && reason === 'Asleep',
    );
    let status: ScalePolicyStatus | undefined;
    await eventually(async () => {
      status = await policyStatus(namespace(), 'asleep');
      return status?.lastDecision !== undefined;
    }, 'a decision is told');
    expect(status).toMatchObject({ phase: 'Asleep', readyReplicas: 0, queued: 0, lastDecision: { rule: 'asleep' } });
    expect(condition(status, 'Accepted')).toMatchObject({ status: 'True', observedGeneration: 1 });
  });
});
