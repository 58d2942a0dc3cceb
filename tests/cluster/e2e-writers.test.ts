import { beforeAll, expect, test } from 'vitest';
import { KUBE_MARKS } from '../../src/core/kubernetes.ts';
import { useRedis } from '../support/redis.ts';
import { burst, streamChat, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { policyStatus, specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, scalePolicy, simPool } from './support/sim-pool.ts';

const redis = useRedis();

describeCluster('others who write to the same workload', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 6 }] });
  beforeAll(() => applyCrds(namespace().cluster));
  const open = () => startPilotlight({ namespace: namespace(), redisUrl: redis.url });
  const remove = (path: string) =>
    namespace().cluster.api.request({ method: 'DELETE', path: path.replace('NAMESPACE', namespace().name) });

  test('a HorizontalPodAutoscaler on the same workload is named and not fought; without it the work is done', async () => {
    const hpa = {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'rival' },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'shared' },
        minReplicas: 1,
        maxReplicas: 2,
      },
    };
    await namespace().apply([...simPool({ name: 'shared' }), hpa]);
    const pilotlight = await open();
    const { message } = await untilCondition(
      namespace(),
      'shared',
      'ReplicasOwned',
      ({ status }) => status === 'False',
    );
    expect(message).toContain('rival');
    await pilotlight.untilPool(
      'shared',
      'it says why it is stalled',
      ({ blockedWhy }) => blockedWhy?.includes('rival') ?? false,
    );
    const refused = await burst(3, { apiUrl: pilotlight.apiUrl, model: 'shared' }, 'refused');
    expect(refused.map(({ status, problem }) => `${status} ${problem?.includes('rival') ?? false}`)).toEqual(
      Array.from({ length: 3 }, () => '503 true'),
    );
    expect(await specReplicas(namespace(), 'shared')).toBe(0);
    await remove('/apis/autoscaling/v2/namespaces/NAMESPACE/horizontalpodautoscalers/rival');
    await untilCondition(namespace(), 'shared', 'ReplicasOwned', ({ status }) => status === 'True');
    await pilotlight.untilPool('shared', 'it may be woken', ({ blockedWhy }) => blockedWhy === null);
    expect(await wrongCalls(burst(3, { apiUrl: pilotlight.apiUrl, model: 'shared' }))).toEqual([]);
  });

  test('a scale by hand is held and shown, and not taken back although nothing is queued', async () => {
    await namespace().apply(simPool({ name: 'byhand', keepWarm: '1s' }));
    const pilotlight = await open();
    await untilCondition(namespace(), 'byhand', 'Ready', ({ reason }) => reason === 'Asleep');
    await namespace().scale('deployments', 'byhand', 2);
    const { reason } = await untilCondition(namespace(), 'byhand', 'ReplicasOwned', ({ status }) => status === 'False');
    expect(reason).toBe('ManualScale');
    await pilotlight.untilPool(
      'byhand',
      'both serve',
      ({ replicas }) => replicas.filter(({ phase }) => phase === 'Ready').length === 2,
    );
    await eventually(
      async () =>
        (await policyStatus(namespace(), 'byhand'))?.targets[0]?.message?.includes('set Deployment byhand to 2') ??
        false,
      'the target says that it is held',
    );
    expect(await specReplicas(namespace(), 'byhand')).toBe(2);
  });

  test('a deleted policy leaves its workload as onDelete says, lets a running stream end, and leaves no mark', async () => {
    await namespace().apply(simPool({ name: 'gone', policy: { onDelete: 'ScaleToZero' } }));
    const pilotlight = await open();
    let tokens = 0;
    const stream = streamChat({
      ...{ apiUrl: pilotlight.apiUrl, model: 'gone', label: 'last', tokens: 300 },
      onToken: () => {
        tokens += 1;
      },
    });
    await eventually(() => Promise.resolve(tokens > 0), 'the stream has begun');
    await remove('/apis/pilotlight.dev/v1alpha1/namespaces/NAMESPACE/scalepolicies/gone');
    expect(await wrongCalls(Promise.all([stream]))).toEqual([]);
    await eventually(async () => (await namespace().pods('app=gone')).length === 0, 'its pods are gone', 60_000);
    expect(await specReplicas(namespace(), 'gone')).toBe(0);
  });

  test('a deleted policy that keeps its workload leaves running pods without a mark', async () => {
    await namespace().apply(simPool({ name: 'kept', minReplicas: 1, policy: { onDelete: 'Keep' } }));
    const pilotlight = await open();
    await pilotlight.untilPool('kept', 'one serves', ({ replicas }) => replicas.some(({ phase }) => phase === 'Ready'));
    expect((await pilotlight.order('kept', 'drain', { for: '1h' })).status).toBe(200);
    await remove('/apis/pilotlight.dev/v1alpha1/namespaces/NAMESPACE/scalepolicies/kept');
    await eventually(async () => {
      const pods = await namespace().pods('app=kept');
      return pods.every(({ metadata }) => metadata.annotations?.[KUBE_MARKS.drain] === undefined);
    }, 'no pod is marked');
  });

  test('mode Observe decides and reports, and never writes to the workload', async () => {
    await namespace().apply(simPool({ name: 'observed', policy: { mode: 'Observe' } }));
    const pilotlight = await open();
    const signal = AbortSignal.timeout(60_000);
    const call = streamChat({ apiUrl: pilotlight.apiUrl, model: 'observed', label: 'seen', signal });
    await eventually(async () => {
      const status = await policyStatus(namespace(), 'observed');
      return status?.desiredReplicas === 1 || status?.lastDecision?.rule === 'immediate';
    }, 'it would wake');
    expect(await specReplicas(namespace(), 'observed')).toBe(0);
    await namespace().apply([scalePolicy({ name: 'observed', policy: { mode: 'Native' } })]);
    expect((await call).problem ?? 'none').toMatch(/none|Observe/);
  });
});
