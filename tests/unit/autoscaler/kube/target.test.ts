import { expect, test } from 'vitest';
import { KUBE_MARKS } from '../../../../src/core/kubernetes.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { deploymentTarget, pod, poolSpec } from './support/builders.ts';
import { LLAMA, openWorld, podPath, putDeployment, putPod } from './support/world.ts';

const POOL = poolSpec();
const KEY = POOL.key;
const TARGET = deploymentTarget();

test('a start from zero is one patch, and the replica is listed when it resolves', async () => {
  const { target, kube, patches } = await openWorld((fake) => putDeployment(fake, 0));
  await target.start({ pool: POOL, target: TARGET, count: 2 });
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 2 });
  expect(patches()).toEqual(['llama/scale']);
  expect(target.replicas(KEY).map(({ phase, target: name }) => [phase, name])).toEqual([
    ['Requested', 'gpu'],
    ['Requested', 'gpu'],
  ]);
  expect(target.state(KEY, TARGET)).toMatchObject({ specReplicas: 2, templateHash: '5d4f8c7b9' });
});

test('a pod takes the place of what was asked for, and keeps the time of the order', async () => {
  const { target, kube, clock } = await openWorld((fake) => putDeployment(fake, 0));
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  const [asked] = target.replicas(KEY);
  await clock.advance(1_500);
  putPod(kube, pod({ stage: 'unscheduled', ageMs: -1_400 }));
  const replicas = target.replicas(KEY);
  expect(replicas).toMatchObject([{ uid: `uid-llama-5d4f8c7b9-a`, phase: 'Pending' }]);
  expect(replicas[0]?.requestedAtEpochMs).toBe(asked?.requestedAtEpochMs);
});

test('no look between the patch and its pods sees fewer replicas, however late the feed is', async () => {
  const { target, kube, clock } = await openWorld((fake) => putDeployment(fake, 0));
  await target.start({ pool: POOL, target: TARGET, count: 2 });
  kube.pods.hold();
  putPod(kube, pod({ name: 'llama-5d4f8c7b9-a', stage: 'loading' }));
  await clock.advance(3_000);
  expect(target.replicas(KEY)).toHaveLength(2);
  kube.pods.release();
  expect(target.replicas(KEY).map(({ phase }) => phase)).toEqual(['ModelLoading', 'Requested']);
});

test('a status change between read and patch is no foreign writer: the patch is tried again at once', async () => {
  const { target, kube } = await openWorld((fake) => putDeployment(fake, 0));
  kube.put(LLAMA, { ...kube.get(LLAMA)!, status: { replicas: 0, observedGeneration: 5 } });
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
  expect(kube.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(2);
});

test('a number that another one has set meanwhile is not overwritten, and who it was is held and named', async () => {
  const { target, kube, clock } = await openWorld((fake) => putDeployment(fake, 1));
  kube.scaleAs('kubectl', LLAMA, 3, new Date(clock.epochMs()).toISOString());
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow('another one set 3');
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 3 });
  await clock.advance(1_000);
  const state = target.state(KEY, TARGET);
  expect(state.noUpWhy).toContain('kubectl set Deployment llama to 3');
  expect(state.noDownWhy).toBe(state.noUpWhy);
  expect(state.conditions).toContainEqual(expect.objectContaining({ type: 'ReplicasOwned', reason: 'ManualScale' }));
  await clock.advance(615_000);
  expect(target.state(KEY, TARGET).noUpWhy).toBeNull();
});

test('nor by an order that waited its turn behind the one that met the conflict', async () => {
  const { target, kube, clock } = await openWorld((fake) => putDeployment(fake, 1));
  kube.scaleAs('kubectl', LLAMA, 3, new Date(clock.epochMs()).toISOString());
  const order = () => target.start({ pool: POOL, target: TARGET, count: 1 });
  const answers = await Promise.allSettled([order(), order(), order()]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 3 });
});

test('a tool that reverts the number is overruled twice, then it has its way', async () => {
  const { target, kube, clock, catalog } = await openWorld((fake) => putDeployment(fake, 0));
  for (let round = 1; round <= 2; round += 1) {
    await target.start({ pool: POOL, target: TARGET, count: 1 });
    kube.scaleAs('argocd-controller', LLAMA, 0, new Date(clock.epochMs()).toISOString(), null);
    await clock.advance(15_000);
    expect(target.state(KEY, TARGET).conditions).toContainEqual(expect.objectContaining({ reason: 'Reverted' }));
  }
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  kube.scaleAs('argocd-controller', LLAMA, 0, new Date(clock.epochMs()).toISOString(), null);
  await clock.advance(15_000);
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow(
    /argocd-controller.*ignoreDifferences/,
  );
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 0 });
  catalog.replace(poolSpec({ targets: [deploymentTarget({ maxReplicas: 5 })] }));
  expect(target.state(KEY, TARGET).noUpWhy).toBeNull();
});

test('a controller that waits for its turn counts the fights of the leader, and fights no further', async () => {
  const { target, kube, clock, leadership } = await openWorld((fake) => putDeployment(fake, 0));
  const now = () => new Date(clock.epochMs()).toISOString();
  leadership.become(false);
  for (let round = 1; round <= 2; round += 1) {
    kube.scaleAs('pilotlight', LLAMA, 1, now());
    await clock.advance(15_000);
    kube.scaleAs('argocd-controller', LLAMA, 0, now(), null);
    await clock.advance(15_000);
  }
  leadership.become(true);
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  kube.scaleAs('argocd-controller', LLAMA, 0, now(), null);
  await clock.advance(15_000);
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow(/argocd-controller/);
});

test('never more than maxReplicas, and a higher number of another one is not lowered by a start', async () => {
  const { target, kube } = await openWorld((fake) => putDeployment(fake, 3));
  await target.start({ pool: POOL, target: TARGET, count: 5 });
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 4 });
  const many = await openWorld((fake) => putDeployment(fake, 9));
  await many.target.start({ pool: POOL, target: TARGET, count: 1 });
  expect(many.kube.get(LLAMA)?.spec).toMatchObject({ replicas: 9 });
});

test('a patch whose answer was lost is not sent twice', async () => {
  const { target, kube, patches } = await openWorld((fake) => putDeployment(fake, 0));
  const { KubeApiError } = await import('../../../../src/core/kubernetes.ts');
  let lost = false;
  kube.before = ({ method }) => {
    if (method !== 'PATCH' || lost) return;
    lost = true;
    kube.scaleAs('pilotlight', LLAMA, 2, '2023-11-14T22:13:20Z');
    throw new KubeApiError('socket hang up', { status: 0 });
  };
  await target.start({ pool: POOL, target: TARGET, count: 2 });
  expect(patches()).toHaveLength(1);
  expect(target.replicas(KEY)).toHaveLength(2);
});

test('who does not lead writes nothing', async () => {
  const { target, leadership, kube, patches } = await openWorld((fake) => putDeployment(fake, 0));
  putPod(kube, pod());
  leadership.leads = false;
  const { uid = '' } = target.replicas(KEY)[0] ?? {};
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow('does not lead');
  await expect(target.drain(KEY, [uid])).rejects.toThrow('does not lead');
  expect(patches()).toEqual([]);
});

test('an order that was given in a term that is over is not carried out in the next one', async () => {
  const { target, leadership, patches } = await openWorld((fake) => putDeployment(fake, 0));
  const ordered = target.start({ pool: POOL, target: TARGET, count: 1 });
  leadership.number = 9;
  await expect(ordered).rejects.toThrow('another term has begun');
  expect(patches()).toEqual([]);
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  expect(patches()).toHaveLength(1);
});

test('a drain mark carries the term and shows at once; undrain removes every mark of ours', async () => {
  const { target, kube } = await openWorld((fake) => {
    putDeployment(fake, 1);
    putPod(fake, pod());
  });
  kube.pods.hold();
  const [replica] = target.replicas(KEY);
  await target.drain(KEY, [replica!.uid]);
  expect(kube.get(podPath('llama-5d4f8c7b9-a'))?.metadata.annotations).toEqual({
    [KUBE_MARKS.drain]: '7@2023-11-14T22:13:20.000Z@main',
  });
  expect(target.replicas(KEY)).toMatchObject([{ phase: 'Draining', terminating: false }]);
  await target.undrain(KEY, [replica!.uid]);
  expect(target.replicas(KEY)).toMatchObject([{ phase: 'Ready' }]);
  expect(kube.get(podPath('llama-5d4f8c7b9-a'))?.metadata.annotations).toEqual({});
});

test('two ready victims of three go by cost and by one patch, and are listed as ending', async () => {
  const { target, kube, patches } = await openWorld((fake) => {
    putDeployment(fake, 3);
    for (const name of ['a', 'b', 'c']) putPod(fake, pod({ name: `llama-5d4f8c7b9-${name}` }));
  });
  const ended = await target.stop(KEY, ['uid-llama-5d4f8c7b9-a', 'uid-llama-5d4f8c7b9-c']);
  expect(ended).toEqual(['uid-llama-5d4f8c7b9-a', 'uid-llama-5d4f8c7b9-c']);
  expect(patches()).toEqual(['pods/llama-5d4f8c7b9-a', 'pods/llama-5d4f8c7b9-c', 'llama/scale']);
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
  const annotations = (name: string) => kube.get(podPath(`llama-5d4f8c7b9-${name}`))?.metadata.annotations;
  expect(annotations('a')).toEqual({
    [KUBE_MARKS.podDeletionCost]: '-1000',
    [KUBE_MARKS.victim]: '7@2023-11-14T22:13:20.000Z@main',
  });
  expect(annotations('b')).toBeUndefined();
  expect(target.replicas(KEY).map(({ phase, terminating }) => [phase, terminating])).toEqual([
    ['Draining', true],
    ['Ready', false],
    ['Draining', true],
  ]);
});

test('a victim that the workload was told to remove before, by a leader of before, costs no second replica', async () => {
  const { target, kube, patches } = await openWorld((fake) => {
    putDeployment(fake, 1, { status: { replicas: 2, updatedReplicas: 2 } });
    for (const name of ['a', 'b']) putPod(fake, pod({ name: `llama-5d4f8c7b9-${name}` }));
  });
  expect(await target.stop(KEY, ['uid-llama-5d4f8c7b9-a'])).toEqual(['uid-llama-5d4f8c7b9-a']);
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
  expect(patches()).toEqual(['pods/llama-5d4f8c7b9-a']);
  expect(target.replicas(KEY).map(({ phase, terminating }) => [phase, terminating])).toEqual([
    ['Draining', true],
    ['Ready', false],
  ]);
});

test('a StatefulSet that ends one pod after the other, each in its own time, loses no pod that was not chosen', async () => {
  const ref = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'llama' };
  const target = deploymentTarget({ scaleTargetRef: ref });
  const path = '/apis/apps/v1/namespaces/ml/statefulsets/llama';
  const ordinal = (index: number, deleted = false) =>
    pod({ name: `llama-${index}`, owner: { kind: 'StatefulSet', name: 'llama' }, labels: { app: 'llama' }, deleted });
  const world = await openWorld(
    (fake) => {
      fake.put(path, {
        metadata: { name: 'llama', namespace: 'ml' },
        spec: { replicas: 3 },
        status: { replicas: 3, updatedReplicas: 3 },
      });
      for (const index of [0, 1, 2]) putPod(fake, ordinal(index));
    },
    { pools: [poolSpec({ targets: [target] })] },
  );
  const victims = ['uid-llama-1', 'uid-llama-2'];
  await world.target.stop(KEY, victims);
  expect(world.kube.get(path)?.spec).toMatchObject({ replicas: 1 });
  // The highest one takes its whole grace before the next one is told to go.
  putPod(world.kube, ordinal(2, true));
  for (let second = 0; second < 90; second += 1) await world.clock.advance(1_000);
  expect(await world.target.stop(KEY, ['uid-llama-1'])).toEqual(['uid-llama-1']);
  expect(world.kube.get(path)?.spec).toMatchObject({ replicas: 1 });
  world.target.close();
});

test('a ready victim beside a booting pod waits, because the booting one would go in its place', async () => {
  const { target, patches } = await openWorld((fake) => {
    putDeployment(fake, 2);
    putPod(fake, pod({ name: 'llama-5d4f8c7b9-a' }));
    putPod(fake, pod({ name: 'llama-5d4f8c7b9-b', stage: 'loading' }));
  });
  expect(await target.stop(KEY, ['uid-llama-5d4f8c7b9-a'])).toEqual([]);
  expect(patches()).toEqual([]);
  const both = ['uid-llama-5d4f8c7b9-a', 'uid-llama-5d4f8c7b9-b'];
  expect([...(await target.stop(KEY, both))].sort()).toEqual(both);
  expect(patches()).toEqual(['llama/scale']);
});

test('what has no pod yet is taken back by its name', async () => {
  const { target, kube } = await openWorld((fake) => putDeployment(fake, 0));
  await target.start({ pool: POOL, target: TARGET, count: 3 });
  const asked = target.replicas(KEY).map(({ uid }) => uid);
  expect(await target.stop(KEY, asked.slice(1))).toEqual(asked.slice(1));
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
  expect(target.replicas(KEY)).toHaveLength(1);
});

test('a workload that removes another pod than the one chosen is counted, and the chosen one counts again', async () => {
  const { target, kube, metrics } = await openWorld((fake) => {
    putDeployment(fake, 2);
    for (const name of ['a', 'b']) putPod(fake, pod({ name: `llama-5d4f8c7b9-${name}` }));
  });
  await target.stop(KEY, ['uid-llama-5d4f8c7b9-a']);
  putPod(kube, pod({ name: 'llama-5d4f8c7b9-b', deleted: true }));
  expect((await metrics.wrongVictimsTotal.get()).values).toMatchObject([{ value: 1 }]);
  expect(target.replicas(KEY).map(({ uid, terminating }) => [uid.slice(-1), terminating])).toEqual([
    ['a', false],
    ['b', true],
  ]);
});

test('a pod that its node refused is deleted, and the number of replicas stays', async () => {
  const { target, kube, patches } = await openWorld((fake) => {
    putDeployment(fake, 1);
    putPod(
      fake,
      pod({ name: 'llama-5d4f8c7b9-a', stage: 'scheduled', phase: 'Failed', reason: 'UnexpectedAdmissionError' }),
    );
    putPod(fake, pod({ name: 'llama-5d4f8c7b9-b', stage: 'loading' }));
  });
  expect(target.replicas(KEY)).toMatchObject([
    { phase: 'Stuck', trouble: { kind: 'AdmissionRejected' } },
    { phase: 'ModelLoading' },
  ]);
  await target.stop(KEY, ['uid-llama-5d4f8c7b9-a']);
  expect(kube.get(podPath('llama-5d4f8c7b9-a'))).toBeUndefined();
  expect(patches()).toEqual([]);
});

test('a HorizontalPodAutoscaler on the same workload stops both directions, and is named', async () => {
  const { target, hpas } = await openWorld((fake) => putDeployment(fake, 1));
  let told = 0;
  target.onReplicaChange(() => (told += 1));
  hpas.put({
    metadata: { name: 'by-cpu', namespace: 'ml' },
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' } },
  });
  const { noUpWhy, noDownWhy } = target.state(KEY, TARGET);
  expect(told).toBe(1);
  expect(noUpWhy).toContain('HorizontalPodAutoscaler by-cpu');
  expect(noDownWhy).toBe(noUpWhy);
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow('by-cpu');
});

test('of two pools with one workload the first of the catalog scales it', async () => {
  const second = poolSpec({ key: 'ml/second', name: 'second' });
  const { target } = await openWorld((fake) => putDeployment(fake, 1), { pools: [POOL, second] });
  expect(target.state(KEY, TARGET).noUpWhy).toBeNull();
  expect(target.state('ml/second', TARGET).noUpWhy).toContain('already scaled for pool ml/llama');
  expect(target.replicas('ml/second')).toEqual([]);
});

test('a missing right is named and asked for again later, and is never a crash', async () => {
  const { target, kube, clock, patches } = await openWorld((fake) => putDeployment(fake, 0));
  kube.forbidden.add('patch deployments/scale');
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow('cannot patch');
  const state = target.state(KEY, TARGET);
  expect(state.noUpWhy).toContain('patch deployments/scale');
  expect(state.conditions).toContainEqual(expect.objectContaining({ type: 'Permitted', status: false }));
  await expect(target.start({ pool: POOL, target: TARGET, count: 1 })).rejects.toThrow('patch deployments/scale');
  expect(patches()).toHaveLength(1);
  kube.forbidden.clear();
  await clock.advance(2_000);
  await target.start({ pool: POOL, target: TARGET, count: 1 });
  expect(target.state(KEY, TARGET).conditions).toContainEqual(
    expect.objectContaining({ type: 'Permitted', status: true }),
  );
});

test('a workload that does not exist is named, and found when it is made', async () => {
  const { target, kube, clock } = await openWorld(() => undefined);
  expect(target.state(KEY, TARGET).noUpWhy).toContain('Deployment llama does not exist in namespace ml');
  expect(target.available(KEY)).toEqual({ ok: true });
  putDeployment(kube, 0);
  await clock.advance(11_000);
  expect(target.state(KEY, TARGET).noUpWhy).toBeNull();
});

test('no API server freezes the pool: old pods and old numbers are not believed', async () => {
  const { target, kube, clock } = await openWorld((fake) => putDeployment(fake, 1));
  expect(target.available(KEY)).toEqual({ ok: true });
  const { KubeApiError } = await import('../../../../src/core/kubernetes.ts');
  kube.before = () => {
    throw new KubeApiError('connection refused', { status: 0 });
  };
  await clock.advance(75_000);
  expect(target.available(KEY)).toMatchObject({
    ok: false,
    why: expect.stringContaining('connection refused') as string,
  });
  kube.before = () => undefined;
  kube.pods.become({ state: 'stale', heardAtEpochMs: 1, why: 'the watch is broken' });
  await clock.advance(11_000);
  expect(target.available(KEY)).toMatchObject({
    ok: false,
    why: expect.stringContaining('the watch is broken') as string,
  });
});

test('quota: what cannot be created is shown as such and not ordered again', async () => {
  const { target } = await openWorld((fake) => {
    const conditions = [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: gpus, requested: 1' }];
    putDeployment(fake, 2, { status: { replicas: 1, updatedReplicas: 1, conditions } });
    putPod(fake, pod());
  });
  expect(target.state(KEY, TARGET).noUpWhy).toContain('exceeded quota');
  expect(target.replicas(KEY).map(({ phase, trouble }) => [phase, trouble?.kind])).toEqual([
    ['Ready', undefined],
    ['Requested', 'QuotaExceeded'],
  ]);
});

test('a StatefulSet over its quota says so by an Event, until it has created a pod', async () => {
  const ref = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'llama' };
  const target = deploymentTarget({ scaleTargetRef: ref });
  const world = await openWorld(
    (fake) =>
      fake.put('/apis/apps/v1/namespaces/ml/statefulsets/llama', {
        metadata: { name: 'llama', namespace: 'ml' },
        spec: { replicas: 1 },
      }),
    { pools: [poolSpec({ targets: [target] })] },
  );
  const said = (reason: string, agoMs: number) =>
    world.events.put({
      metadata: { name: reason, namespace: 'ml' },
      involvedObject: { kind: 'StatefulSet', name: 'llama', uid: 'uid-llama' },
      reason,
      message: reason === 'FailedCreate' ? 'create Pod llama-0 failed: exceeded quota: gpus' : 'created',
      lastTimestamp: new Date(world.clock.epochMs() - agoMs).toISOString(),
    });
  let told = 0;
  world.target.onReplicaChange(() => {
    told += 1;
  });
  said('FailedCreate', 5_000);
  expect(told).toBe(1);
  expect(world.target.replicas(KEY)).toMatchObject([{ phase: 'Requested', trouble: { kind: 'QuotaExceeded' } }]);
  const { noUpWhy, conditions } = world.target.state(KEY, target);
  expect(noUpWhy).toContain('exceeded quota');
  expect(conditions).toContainEqual(expect.objectContaining({ type: 'CapacityAvailable', reason: 'QuotaExceeded' }));
  said('SuccessfulCreate', 1_000);
  expect(world.target.replicas(KEY)).toMatchObject([{ phase: 'Requested', trouble: null }]);
  expect(world.target.state(KEY, target).noUpWhy).toBeNull();
});

test('nothing is taken away during a roll-out', async () => {
  const { target } = await openWorld((fake) => {
    putDeployment(fake, 2, { status: { replicas: 3, updatedReplicas: 1 } });
    for (const name of ['a', 'b']) putPod(fake, pod({ name: `llama-5d4f8c7b9-${name}` }));
  });
  expect(target.state(KEY, TARGET)).toMatchObject({ rollsItself: true, noUpWhy: null });
  await expect(target.stop(KEY, ['uid-llama-5d4f8c7b9-a'])).rejects.toThrow('roll-out');
});

test.each([
  { onDelete: 'Keep', want: 3 },
  { onDelete: 'ScaleToMin', want: 1 },
  { onDelete: 'ScaleToZero', want: 0 },
] as const)(
  'a deleted policy with onDelete $onDelete leaves $want, and no mark of ours',
  async ({ onDelete, want }) => {
    const pool = poolSpec({ onDelete, targets: [deploymentTarget({ minReplicas: 1 })] });
    const { target, kube, catalog } = await openWorld((fake) => putDeployment(fake, 3), { pools: [pool] });
    const annotations = { [KUBE_MARKS.drain]: '6', [KUBE_MARKS.podDeletionCost]: '-1000', theirs: 'stays' };
    putPod(kube, pod({ annotations }));
    catalog.replace();
    await target.release(pool);
    expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: want });
    expect(kube.get(podPath('llama-5d4f8c7b9-a'))?.metadata.annotations).toEqual({ theirs: 'stays' });
  },
);

test('any kind with a /scale is found by discovery and scaled', async () => {
  const ref = { apiVersion: 'example.dev/v1', kind: 'GpuFarm', name: 'farm' };
  const farm = deploymentTarget({ scaleTargetRef: ref });
  const path = '/apis/example.dev/v1/namespaces/ml/gpufarms/farm';
  const { target, kube } = await openWorld(
    (fake) => {
      fake.discover('example.dev/v1', [
        { name: 'gpufarms', kind: 'GpuFarm' },
        { name: 'gpufarms/scale', kind: 'Scale' },
      ]);
      fake.put(path, { metadata: { name: 'farm', namespace: 'ml' } });
      fake.selector(path, 'app=llama');
    },
    { pools: [poolSpec({ targets: [farm] })] },
  );
  putPod(kube, pod({ name: 'farm-0', owner: { kind: 'GpuFarm', name: 'farm' } }));
  const before = target.state(KEY, farm);
  await target.start({ pool: POOL, target: farm, count: 2 });
  expect(kube.get(path)?.spec).toMatchObject({ replicas: 2 });
  expect(target.replicas(KEY).map(({ removalOrder }) => removalOrder)).toEqual([0, 1]);
  await settleMicrotasks();
  expect(target.state(KEY, farm).templateHash).toBe(before.templateHash);
});

test('a kind that the cluster does not know, or that has no /scale, is refused in a sentence', async () => {
  const ref = { apiVersion: 'example.dev/v1', kind: 'GpuFarm', name: 'farm' };
  const farm = deploymentTarget({ scaleTargetRef: ref });
  const { target } = await openWorld(
    (fake) => fake.discover('example.dev/v1', [{ name: 'gpufarms', kind: 'GpuFarm' }]),
    {
      pools: [poolSpec({ targets: [farm] })],
    },
  );
  expect(target.state(KEY, farm).noUpWhy).toContain('have no /scale subresource');
});

test('a pod that Kubernetes calls ready but that does not answer us is not ready, and says why', async () => {
  let answers = false;
  const world = await openWorld((fake) => putDeployment(fake, 1), { probe: () => Promise.resolve(answers) });
  putPod(world.kube, pod());
  await world.clock.advance(20_000);
  expect(world.target.replicas(KEY)).toMatchObject([
    { phase: 'ModelLoading', trouble: { kind: 'Unreachable', blocksOrders: true } },
  ]);
  answers = true;
  await world.clock.advance(3_000);
  expect(world.target.replicas(KEY)).toMatchObject([{ phase: 'Ready', trouble: null }]);
  world.target.close();
});

test('a target that leaves its policy is let alone, and its pods serve on', async () => {
  const { target, kube, catalog } = await openWorld((fake) => {
    putDeployment(fake, 1);
    putPod(fake, pod());
  });
  await target.drain(KEY, ['uid-llama-5d4f8c7b9-a']);
  catalog.replace(poolSpec({ targets: [] }));
  await settleMicrotasks();
  expect(target.replicas(KEY)).toEqual([]);
  expect(kube.get(podPath('llama-5d4f8c7b9-a'))?.metadata.annotations).toEqual({});
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
});

test('when other autoscalers cannot be looked for, that is said, and scaling goes on', async () => {
  const { target, hpas } = await openWorld((fake) => putDeployment(fake, 0));
  hpas.become({ state: 'stale', heardAtEpochMs: null, why: 'forbidden: list horizontalpodautoscalers' });
  const { conditions, noUpWhy } = target.state(KEY, TARGET);
  expect(noUpWhy).toBeNull();
  expect(conditions.find(({ type }) => type === 'Permitted')?.message).toContain('list horizontalpodautoscalers');
});

test('the replicas of a pool whose policy was deleted are drained and ended as before, until it is released', async () => {
  const { target, kube, catalog, pods, clock } = await openWorld(
    (fake) => {
      putDeployment(fake, 2);
      for (const name of ['a', 'b']) putPod(fake, pod({ name: `llama-5d4f8c7b9-${name}` }));
    },
    { pools: [poolSpec({ onDelete: 'ScaleToZero' })] },
  );
  catalog.replace();
  expect(target.replicas(KEY).map(({ phase }) => phase)).toEqual(['Ready', 'Ready']);
  expect(target.state(KEY, TARGET)).toMatchObject({ noDownWhy: null, specReplicas: 2 });
  await target.drain(KEY, ['uid-llama-5d4f8c7b9-a']);
  for (let second = 0; second < 130; second += 1) await clock.advance(1_000);
  expect(target.replicas(KEY).map(({ phase }) => phase)).toEqual(['Draining', 'Ready']);
  expect(await target.stop(KEY, ['uid-llama-5d4f8c7b9-a'])).toEqual(['uid-llama-5d4f8c7b9-a']);
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 1 });
  await target.release(poolSpec({ onDelete: 'ScaleToZero' }));
  expect(kube.get(LLAMA)?.spec).toMatchObject({ replicas: 0 });
  expect(target.replicas(KEY)).toEqual([]);
  expect(pods.of(KEY)).toEqual([]);
  target.close();
});

test('who does not lead forgets a pool with its policy', async () => {
  const { target, catalog, pods, leadership } = await openWorld((fake) => {
    putDeployment(fake, 1);
    putPod(fake, pod());
  });
  leadership.become(false);
  catalog.replace();
  expect([target.replicas(KEY), pods.of(KEY)]).toEqual([[], []]);
  target.close();
});
