import { expect, test } from 'vitest';
import { formatMark, isMarkedBy, parseMark, withoutMarks } from '../../../../src/autoscaler/policy/kube/drain-mark.ts';
import { KUBE_MARKS } from '../../../../src/core/kubernetes.ts';
import { NOW_MS, pod, poolSpec } from './support/builders.ts';
import { openWorld, podPath, putDeployment, putPod } from './support/world.ts';

const POOL = poolSpec();
const NAME = 'llama-5d4f8c7b9-a';
const UID = `uid-${NAME}`;
const marked = (installation = 'main', agoMs = 60_000) => ({
  [KUBE_MARKS.drain]: formatMark(3, NOW_MS - agoMs, installation),
});

test.each([
  { text: '7@2023-11-14T22:13:20.000Z@main', want: { term: '7', sinceEpochMs: NOW_MS, installation: 'main' } },
  { text: '7', want: { term: '7', sinceEpochMs: null, installation: null } },
  { text: '7@yesterday@main', want: { term: '7', sinceEpochMs: null, installation: 'main' } },
  { text: '', want: { term: '', sinceEpochMs: null, installation: null } },
])('the mark "$text" is read for what it says', ({ text, want }) => {
  expect(parseMark(text)).toEqual(want);
});

test('what is written is read back, and only marks of ours are taken away', () => {
  expect(parseMark(formatMark(12, NOW_MS, 'blue'))).toEqual({
    term: '12',
    sinceEpochMs: NOW_MS,
    installation: 'blue',
  });
  const cost = KUBE_MARKS.podDeletionCost;
  expect(withoutMarks(pod({ annotations: { [cost]: '5', theirs: 'x' } }))).toEqual({});
  expect(withoutMarks(pod({ annotations: { ...marked(), [cost]: '-1000' } }))).toEqual({
    [KUBE_MARKS.drain]: null,
    [cost]: null,
  });
  expect(isMarkedBy(pod({ annotations: { ...marked('blue') } }), 'main')).toBe(false);
  expect(isMarkedBy(pod({ annotations: { [cost]: '-1000' } }), 'main')).toBe(false);
});

const annotations = (world: Awaited<ReturnType<typeof openWorld>>) =>
  world.kube.get(podPath(NAME))?.metadata.annotations;

test.each([
  { name: 'a policy that was deleted while nobody led', pools: [], marks: marked(), want: {} },
  {
    name: 'a policy that scales another workload now',
    pools: [poolSpec({ targets: [] })],
    marks: { ...marked(), [KUBE_MARKS.podDeletionCost]: '-1000', theirs: 'stays' },
    want: { theirs: 'stays' },
  },
  {
    name: 'a policy that only observes now',
    pools: [poolSpec({ scale: { ...POOL.scale, mode: 'Observe' as const } })],
    marks: marked(),
    want: {},
  },
  { name: 'another installation', pools: [], marks: marked('blue'), want: marked('blue') },
  { name: 'nobody it names', pools: [], marks: { [KUBE_MARKS.drain]: '6' }, want: { [KUBE_MARKS.drain]: '6' } },
  { name: 'a pool that scales it', pools: [POOL], marks: marked(), want: marked() },
])(
  'a new leader finds the marks of $name: left are those that are owned or foreign',
  async ({ pools, marks, want }) => {
    const world = await openWorld(
      (kube) => {
        putDeployment(kube, 1);
        putPod(kube, pod({ annotations: marks }));
      },
      { pools },
    );
    world.leadership.become(false);
    await world.clock.advance(300_000);
    expect(annotations(world)).toEqual(marks);
    world.leadership.become(true);
    await world.clock.advance(15_000);
    expect(annotations(world)).toEqual(want);
    world.target.close();
  },
);

test('nothing is swept while pods are not known, and it is made up for later', async () => {
  const world = await openWorld((kube) => putPod(kube, pod({ annotations: marked() })), { pools: [] });
  world.kube.pods.become({ state: 'stale', heardAtEpochMs: 0, why: 'no answer' });
  await world.clock.advance(400_000);
  expect(annotations(world)).toEqual(marked());
  world.kube.pods.become({ state: 'live', heardAtEpochMs: 0, why: null });
  await world.clock.advance(130_000);
  expect(annotations(world)).toEqual({});
  world.target.close();
});

test.each([
  { name: 'a minute ago', agoMs: 60_000, leftMs: 840_000 },
  { name: 'long ago, as its clock says: some time is left', agoMs: 7_200_000, leftMs: 30_000 },
  { name: 'in the future, as its clock says', agoMs: -7_200_000, leftMs: 900_000 },
])('a drain that another leader began $name goes on', async ({ agoMs, leftMs }) => {
  const { target } = await openWorld((kube) => {
    putDeployment(kube, 1);
    putPod(kube, pod({ annotations: marked('main', agoMs) }));
  });
  const [replica] = target.replicas(POOL.key);
  expect(replica?.phase).toBe('Draining');
  expect(POOL.scale.drainTimeoutMs - (NOW_MS - replica!.phaseSinceEpochMs)).toBe(leftMs);
});

test('a drain that was seen to begin counts by the own clock, whatever the mark says', async () => {
  const { target, kube, clock } = await openWorld((fake) => {
    putDeployment(fake, 1);
    putPod(fake, pod());
  });
  expect(target.replicas(POOL.key)).toMatchObject([{ uid: UID, phase: 'Ready' }]);
  await clock.advance(5_000);
  putPod(kube, pod({ annotations: marked('main', 600_000) }));
  expect(target.replicas(POOL.key)).toMatchObject([{ phase: 'Draining', phaseSinceEpochMs: NOW_MS + 5_000 }]);
});
