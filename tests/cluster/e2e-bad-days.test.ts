import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeApiError } from '../../src/core/kubernetes.ts';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { useRedis } from '../support/redis.ts';
import { burst, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { type Pilotlight, startPilotlight } from './support/pilotlight.ts';
import { condition, policyStatus, specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, type SimPool, scalePolicy, simPool } from './support/sim-pool.ts';
import { removeObject } from './support/workload-edits.ts';

const redis = useRedis();

describeCluster('objects that contradict each other or name what is not there', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 4 }] });
  let pilotlight: Pilotlight;

  beforeAll(async () => {
    await applyCrds(namespace().cluster);
    pilotlight = await startPilotlight({ namespace: namespace(), redisUrl: redis.url, atEnd: afterAll });
  });

  const withoutKind = (kind: string, options: SimPool) =>
    simPool(options).filter((object) => (object as { kind: string }).kind !== kind);
  const onlyKind = (kind: string, options: SimPool) =>
    simPool(options).filter((object) => (object as { kind: string }).kind === kind);
  const call = (model: string, label = 'one', count = 1) =>
    burst(count, { apiUrl: pilotlight.apiUrl, model, tokens: 10 }, label);
  const untilCallable = (model: string) =>
    eventually(async () => (await wrongCalls(call(model))).length === 0, `${model} answers`, 60_000);
  const accepted = (name: string) =>
    untilCondition(namespace(), name, 'Accepted', ({ status, reason }) => status === 'True' && reason === 'Accepted');

  test('a policy about a pool that is not there names it, and works as soon as it is', async () => {
    const options = { name: 'poolless' };
    await namespace().apply(withoutKind('InferencePool', options));
    const { reason, message } = await untilCondition(
      namespace(),
      'poolless',
      'ResolvedRefs',
      ({ status }) => status === 'False',
    );
    expect(reason).toBe('PoolNotFound');
    expect(message).toContain(`there is no InferencePool "poolless" in namespace "${namespace().name}"`);
    const [unknown] = await call('poolless');
    expect(unknown).toMatchObject({ status: 404 });
    await namespace().apply(onlyKind('InferencePool', options));
    await untilCondition(namespace(), 'poolless', 'ResolvedRefs', ({ status }) => status === 'True');
    expect(await wrongCalls(call('poolless', 'found'))).toEqual([]);
  });

  test('a policy about a workload that is not there names it, refuses calls with that reason, and works as soon as it is', async () => {
    const options = { name: 'unbuilt' };
    await namespace().apply(withoutKind('Deployment', options));
    const { reason, message } = await untilCondition(
      namespace(),
      'unbuilt',
      'ResolvedRefs',
      ({ status }) => status === 'False',
    );
    expect(reason).toBe('TargetNotFound');
    expect(message).toContain('Deployment unbuilt');
    await pilotlight.untilPool('unbuilt', 'it says so', ({ blockedWhy }) => blockedWhy?.includes('unbuilt') ?? false);
    const [refused] = await call('unbuilt');
    expect(refused).toMatchObject({ status: 503 });
    expect(refused?.problem).toContain('Deployment unbuilt');
    await namespace().apply(onlyKind('Deployment', options));
    await untilCondition(namespace(), 'unbuilt', 'ResolvedRefs', ({ status }) => status === 'True');
    await untilCallable('unbuilt');
  });

  test('of two policies for one workload the older one scales it, and the newer one is told so', async () => {
    await namespace().apply(simPool({ name: 'first' }));
    await accepted('first');
    const second = simPool({ name: 'second' }).filter((object) => (object as { kind: string }).kind !== 'Deployment');
    const policy = scalePolicy({ name: 'second' }) as { spec: { targets: { scaleTargetRef: object }[] } };
    policy.spec.targets[0]!.scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'first' };
    await namespace().apply([...second.slice(0, -1), policy]);
    const { reason, message } = await untilCondition(
      namespace(),
      'second',
      'Accepted',
      ({ status }) => status === 'False',
    );
    expect(reason).toBe('Conflicted');
    expect(message).toMatch(/Deployment "first" is already scaled by ScalePolicy .*\/first .*name another workload/);
    expect(await wrongCalls(call('first'))).toEqual([]);
    await removeObject(namespace(), 'scalepolicies', 'first');
    await untilCondition(namespace(), 'second', 'Accepted', ({ status }) => status === 'True');
  });

  test('of two policies for one model the older one keeps the name, and the newer one gets it when the older is gone', async () => {
    await namespace().apply(simPool({ name: 'elder' }));
    await accepted('elder');
    await namespace().apply(simPool({ name: 'younger', policy: { models: [{ name: 'elder' }] } }));
    const { message } = await untilCondition(
      namespace(),
      'younger',
      'Accepted',
      ({ status, reason }) => status === 'False' && reason === 'Conflicted',
    );
    expect(message).toMatch(/spec\.models\[0\]\.name: "elder" already leads to .*\/elder .*use another name/);
    expect(await wrongCalls(call('elder'))).toEqual([]);
    expect(await specReplicas(namespace(), 'younger')).toBe(0);
    await removeObject(namespace(), 'scalepolicies', 'elder');
    await accepted('younger');
    const pool = await pilotlight.untilPool('younger', 'it has the name', ({ models }) => models.includes('elder'));
    expect(pool.models).toEqual(['elder']);
  });

  test('of two policies for one pool the newer one has no effect, and takes over when the older is gone', async () => {
    await namespace().apply(simPool({ name: 'owned' }));
    await accepted('owned');
    const rival = scalePolicy({ name: 'owned', maxReplicas: 1 }) as { metadata: { name: string }; spec: object };
    rival.metadata.name = 'rival';
    await namespace().apply([rival]);
    const { message } = await untilCondition(
      namespace(),
      'rival',
      'Accepted',
      ({ status, reason }) => status === 'False' && reason === 'Conflicted',
    );
    expect(message).toMatch(/already scaled by ScalePolicy .*\/owned .*delete one of the two.*It has no effect/);
    expect(condition(await policyStatus(namespace(), 'rival'), 'Ready')).toMatchObject({ reason: 'NotAccepted' });
    expect(await wrongCalls(call('owned'))).toEqual([]);
    await removeObject(namespace(), 'scalepolicies', 'owned');
    await accepted('rival');
    expect(await wrongCalls(call('owned', 'after'))).toEqual([]);
  });

  test.each([
    {
      what: 'a pool in another namespace',
      spec: { poolRef: { name: 'chat', namespace: 'other' } },
      says: /\.spec\.poolRef\.namespace: field not declared in schema/,
    },
    {
      what: 'a workload in another namespace',
      spec: {
        targets: [
          { name: 'gpu', scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x', namespace: 'other' } },
        ],
      },
      says: /scaleTargetRef\.namespace: field not declared in schema/,
    },
    {
      what: 'contradictory bounds',
      spec: {
        targets: [
          {
            name: 'gpu',
            scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'x' },
            minReplicas: 3,
            maxReplicas: 1,
          },
        ],
      },
      says: /minReplicas is more than maxReplicas; lower it or raise maxReplicas/,
    },
  ])('$what is refused by the API server, with the field', async ({ spec, says }) => {
    const refused = await namespace()
      .apply([scalePolicy({ name: 'refused', policy: spec })])
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(KubeApiError);
    expect((refused as KubeApiError).message).toMatch(says);
  });

  test('two pools on the same pods: both policies are told, and the older one goes on', async () => {
    await namespace().apply(simPool({ name: 'mine' }));
    await accepted('mine');
    const pool = {
      apiVersion: 'inference.networking.k8s.io/v1',
      kind: 'InferencePool',
      metadata: { name: 'yours' },
      spec: { selector: { matchLabels: { app: 'mine' } }, targetPorts: [{ number: 8000 }] },
    };
    const others = simPool({ name: 'yours' }).filter((object) => (object as { kind: string }).kind !== 'InferencePool');
    await namespace().apply([pool, ...others]);
    const { message } = await untilCondition(
      namespace(),
      'yours',
      'Accepted',
      ({ reason }) => reason === 'SelectorOverlap',
    );
    expect(message).toMatch(
      /selector and that of the pool of ScalePolicy .*\/mine .*give each pool a label of its own/,
    );
    expect(await wrongCalls(call('mine'))).toEqual([]);
    const shared = await untilCondition(namespace(), 'mine', 'ReplicasOwned', ({ status }) => status === 'False');
    expect(shared.reason).toBe('SharedPods');
    await removeObject(namespace(), 'inferencepools', 'yours');
    await removeObject(namespace(), 'scalepolicies', 'yours');
    await untilCondition(namespace(), 'mine', 'ReplicasOwned', ({ status }) => status === 'True');
  });

  test('an InferencePool deleted with work queued: what it said stays in force, the work is done, and the policy says what is gone', async () => {
    await namespace().apply(simPool({ name: 'lost', policy: { paused: true } }));
    await accepted('lost');
    const load = { count: 20, objective: 'lost-nightly', model: 'lost' };
    const jobs = await submitJobs(pilotlight.apiUrl, load);
    await removeObject(namespace(), 'inferencepools', 'lost');
    const { reason, message } = await untilCondition(
      namespace(),
      'lost',
      'ResolvedRefs',
      ({ status }) => status === 'False',
    );
    expect(`${reason}: ${message}`).toMatch(
      /^PoolNotFound: .*lost" was deleted; what it said stays in force until.*add it again/,
    );
    await namespace().apply([scalePolicy({ name: 'lost' })]);
    await untilStored('lost', 0);
    await expectRight(jobs);
    await namespace().apply(onlyKind('InferencePool', { name: 'lost' }));
    await untilCondition(namespace(), 'lost', 'ResolvedRefs', ({ status }) => status === 'True');
  });

  test('a ScalePolicy deleted with work queued: stored jobs stay, and are done when it comes back', async () => {
    await namespace().apply(simPool({ name: 'left', policy: { paused: true } }));
    await accepted('left');
    const load = { count: 20, objective: 'left-nightly', model: 'left' };
    const jobs = await submitJobs(pilotlight.apiUrl, load);
    await removeObject(namespace(), 'scalepolicies', 'left');
    await eventually(async () => (await pilotlight.pool('left')) === undefined, 'the pool is gone');
    const results = await fetchResults(pilotlight.apiUrl, jobs);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['queued']));
    await namespace().apply([scalePolicy({ name: 'left' })]);
    await untilStored('left', 0);
    await expectRight(jobs);
  });

  async function untilStored(name: string, count: number): Promise<void> {
    await pilotlight.untilPool(
      name,
      `${count} jobs are stored`,
      ({ objectives }) => objectives.reduce((sum, { stored }) => sum + stored, 0) === count && objectives.length > 0,
    );
  }

  async function expectRight(jobs: Awaited<ReturnType<typeof submitJobs>>): Promise<void> {
    const results = await fetchResults(pilotlight.apiUrl, jobs);
    expect(results.filter(({ status, text, expected }) => status !== 'completed' || text !== expected)).toEqual([]);
  }
});
