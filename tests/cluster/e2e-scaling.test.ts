import { beforeAll, expect, test } from 'vitest';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { useRedis } from '../support/redis.ts';
import { burst, streamChat, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { startPilotlight } from './support/pilotlight.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';
import { type Watched, watchPods } from './support/watch-pods.ts';

const redis = useRedis();

describeCluster('one Pilotlight and a Deployment of GPU pods', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 3 }] });

  beforeAll(() => applyCrds(namespace().cluster));
  const open = () => startPilotlight({ namespace: namespace(), redisUrl: redis.url });

  test('a burst takes it from zero to three pods and back, and every call and job ends once and as it must', async () => {
    await namespace().apply(simPool({ slots: 8, maxReplicas: 3, sim: ['--speed=2'] }));
    const pilotlight = await open();
    const watched: Watched = watchPods(namespace());
    const calls = burst(60, { apiUrl: pilotlight.apiUrl, tokens: 60 });
    const jobs = await submitJobs(pilotlight.apiUrl, { count: 200, objective: 'nightly' });
    expect(await wrongCalls(calls)).toEqual([]);
    await pilotlight.untilPool('chat', 'all jobs have their outcome', ({ objectives }) =>
      objectives.every(({ stored }) => stored === 0),
    );
    const results = await fetchResults(pilotlight.apiUrl, jobs);
    expect(results.filter(({ status, text, expected }) => status !== 'completed' || text !== expected)).toEqual([]);
    await pilotlight.untilPool(
      'chat',
      'back at zero',
      ({ phase, replicas }) => phase === 'Asleep' && replicas.length === 0,
    );
    await eventually(async () => (await namespace().pods('app=chat')).length === 0, 'no pod is left');
    watched.stop();
    expect(watched.mostAtOnce()).toBe(3);
  });

  test('a drain keeps a stream alive to its end', async () => {
    const pilotlight = await open();
    await namespace().apply(simPool({ slots: 8, maxReplicas: 3 }));
    let tokens = 0;
    const long = streamChat({
      apiUrl: pilotlight.apiUrl,
      label: 'long',
      tokens: 600,
      onToken: () => {
        tokens += 1;
      },
    });
    await pilotlight.untilPool('chat', 'the stream has begun', () => tokens > 0);
    const [pod] = await namespace().pods('app=chat');
    await namespace().cluster.api.request({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace().name}/pods/${pod?.metadata.name ?? ''}`,
    });
    expect(await wrongCalls(Promise.all([long]))).toEqual([]);
    await pilotlight.untilPool('chat', 'back at zero', ({ replicas }) => replicas.length === 0);
  });
});
