import { afterAll, beforeAll, expect, test } from 'vitest';
import { KUBE_MARKS } from '../../src/core/kubernetes.ts';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { useRedis } from '../support/redis.ts';
import { burst, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { LeaderSetController } from './support/leader-sets.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { type Pilotlight, startPilotlight } from './support/pilotlight.ts';
import { policyStatus, untilCondition } from './support/policy.ts';
import { applyCrds, simPool, workload } from './support/sim-pool.ts';
import { watchPods } from './support/watch-pods.ts';
import { annotate } from './support/workload-edits.ts';

const redis = useRedis();
const HOUR_MS = 3_600_000;

describeCluster('targets of every kind, and orders of people', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 4 }] });
  let pilotlight: Pilotlight;
  let leaderSets: LeaderSetController;

  beforeAll(async () => {
    await applyCrds(namespace().cluster);
    leaderSets = new LeaderSetController(namespace().cluster, namespace().name);
    pilotlight = await startPilotlight({ namespace: namespace(), redisUrl: redis.url, atEnd: afterAll });
  });
  afterAll(() => leaderSets.stop());

  const calls = async (model: string, count: number, label = 'burst') => {
    await pilotlight.untilModel(model);
    return burst(count, { apiUrl: pilotlight.apiUrl, model, tokens: 60 }, label);
  };
  const untilEmpty = async (name: string) => {
    await pilotlight.untilPool(
      name,
      'back at zero',
      ({ replicas, phase }) => replicas.length === 0 && phase === 'Asleep',
    );
    await eventually(async () => (await namespace().pods(`app=${name}`)).length === 0, 'no pod is left');
  };

  test.each([
    { kind: 'StatefulSet', name: 'ordered' },
    { kind: 'LeaderSet', name: 'led' },
  ] as const)('a $kind goes from zero to its maximum under a burst and back, and nothing is lost', async (target) => {
    await namespace().apply(simPool({ ...target, slots: 4, maxReplicas: 2, sim: ['--speed=2'] }));
    const watched = watchPods(namespace(), `app=${target.name}`);
    expect(await wrongCalls(calls(target.name, 40))).toEqual([]);
    await untilEmpty(target.name);
    watched.stop();
    expect(watched.mostAtOnce()).toBe(2);
    expect([...watched.names()].sort()).toEqual([`${target.name}-0`, `${target.name}-1`]);
  });

  /** Of two targets, the preferred one's pods ask for more GPUs than any node has. */
  async function applyDuo(name: string): Promise<void> {
    const target = (size: string, preference: number) => ({
      name: size,
      preference,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `${name}-${size}` },
      maxReplicas: 2,
      slotsPerEndpoint: 4,
    });
    const options = { name, policy: { targets: [target('large', 10), target('small', 0)] } };
    const [, ...others] = simPool(options);
    await namespace().apply([
      workload({ ...options, workloadName: `${name}-large`, gpusPerPod: 8 }),
      workload({ ...options, workloadName: `${name}-small` }),
      ...others,
    ]);
  }

  test('when a quota refuses the pods of the preferred target the other one does the work, and the policy names the quota', async () => {
    const spec = { hard: { 'requests.nvidia.com/gpu': '6' } };
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'six' }, spec };
    await namespace().apply([quota]);
    await applyDuo('refused');
    expect(await wrongCalls(calls('refused', 4))).toEqual([]);
    const { message } = await untilCondition(
      namespace(),
      'refused',
      'CapacityAvailable',
      ({ reason }) => reason === 'QuotaExceeded',
    );
    expect(message).toMatch(/target large: .*exceeded quota: six.*raise the ResourceQuota/);
    await untilEmpty('refused');
    await namespace().cluster.remove([{ ...quota, metadata: { name: 'six', namespace: namespace().name } }]);
  });

  // A node may be on its way, so the other target is used after two minutes only.
  test.runIf(process.env['TEST_LONG'] === '1')(
    'when no node has room for the preferred target the other one does the work after two minutes, and the policy names it',
    async () => {
      await applyDuo('duo');
      const done = wrongCalls(calls('duo', 4));
      await untilCondition(namespace(), 'duo', 'CapacityAvailable', ({ reason }) => reason === 'Unschedulable');
      expect(await done).toEqual([]);
      expect((await namespace().pods('app=duo,workload=duo-small')).length).toBeGreaterThan(0);
      await untilEmpty('duo');
      await untilCondition(namespace(), 'duo', 'CapacityAvailable', ({ status }) => status === 'True');
    },
    300_000,
  );

  test('wake, pause, resume and drain on the admin listener do what they say, and the policy tells who ordered', async () => {
    await namespace().apply(simPool({ name: 'ordered-by-admin', maxReplicas: 2, keepWarm: '1s' }));
    const name = 'ordered-by-admin';
    await pilotlight.untilPool(name, 'it is known', () => true);
    expect((await pilotlight.order(name, 'wake', { for: '1h', replicas: 2 })).status).toBe(200);
    await untilReady(name, 2);
    await eventually(async () => (await policyStatus(namespace(), name))?.orders.length === 1, 'the order is told');
    expect((await policyStatus(namespace(), name))?.orders[0]).toContain('operator');
    expect((await pilotlight.order(name, 'pause')).status).toBe(200);
    await pilotlight.untilPool(name, 'it is paused', ({ phase }) => phase === 'Paused');
    expect((await pilotlight.order(name, 'drain', { for: '1h' })).status).toBe(200);
    expect((await pilotlight.order(name, 'resume')).status).toBe(200);
    await pilotlight.untilPool(name, 'it is drained', ({ replicas }) => replicas.length === 0);
    expect((await pilotlight.order(name, 'wake', { for: '5s' })).status).toBe(200);
    await untilReady(name, 1);
    await untilEmpty(name);
  });

  test('the same by plain annotations: a queued job waits while it is paused; what is malformed is told and ignored', async () => {
    const name = 'ordered-by-mark';
    await namespace().apply(simPool({ name, maxReplicas: 2, keepWarm: '1s' }));
    const mark = (marks: Readonly<Record<string, string | null>>) =>
      annotate(namespace(), 'scalepolicies', name, marks);
    const inAnHour = new Date(Date.now() + HOUR_MS).toISOString();
    await mark({ [KUBE_MARKS.paused]: 'true' });
    await pilotlight.untilPool(name, 'it is paused', ({ phase }) => phase === 'Paused');
    const load = { count: 3, objective: `${name}-interactive`, model: name };
    const jobs = await submitJobs(pilotlight.apiUrl, load);
    await untilCondition(namespace(), name, 'Ready', ({ reason }) => reason === 'Paused');
    expect(await namespace().pods(`app=${name}`)).toEqual([]);
    await mark({ [KUBE_MARKS.paused]: null });
    await eventually(async () => {
      const results = await fetchResults(pilotlight.apiUrl, jobs);
      return results.every(({ status, text, expected }) => status === 'completed' && text === expected);
    }, 'the jobs are done');
    await mark({ [KUBE_MARKS.wakeUntil]: inAnHour, [KUBE_MARKS.wakeReplicas]: '2' });
    await untilReady(name, 2);
    await mark({ [KUBE_MARKS.wakeUntil]: null, [KUBE_MARKS.wakeReplicas]: null, [KUBE_MARKS.drainUntil]: inAnHour });
    await pilotlight.untilPool(name, 'it is drained', ({ replicas }) => replicas.length === 0);
    await mark({ [KUBE_MARKS.drainUntil]: 'tomorrow' });
    await eventually(
      async () => (await pilotlight.status()).problems.some((one) => one.includes('"tomorrow" and is ignored')),
      'the malformed mark is told',
    );
    await pilotlight.untilPool(name, 'it may be woken', ({ blockedWhy }) => blockedWhy === null);
    expect(await wrongCalls(calls(name, 2))).toEqual([]);
    await mark({ [KUBE_MARKS.drainUntil]: null });
    await untilEmpty(name);
  });

  async function untilReady(name: string, count: number): Promise<void> {
    await pilotlight.untilPool(
      name,
      `${count} serve`,
      ({ replicas }) => replicas.filter(({ phase }) => phase === 'Ready').length === count,
    );
  }
});
