import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeCatalogSource } from '../../../src/config/objects/kube-catalog-source.ts';
import type { ObjectKind } from '../../../src/config/objects/parse-objects.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import type { Catalog } from '../../../src/core/objects.ts';
import { type KubeWorld, kubeWorld, policySpec, poolSpec, ref, settled, target } from './kube-feed.ts';

let world: KubeWorld;
let source: KubeCatalogSource;
let heard: Catalog[];

beforeEach(() => {
  world = kubeWorld();
  heard = [];
});
afterEach(() => source.close());

async function open(): Promise<void> {
  source = world.open();
  await source.whenReady(AbortSignal.timeout(5_000));
  source.onChange((catalog) => heard.push(catalog));
}

function pool(name: string, more: object = {}): void {
  world.put('InferencePool', name, poolSpec(name));
  world.put('ScalePolicy', name, policySpec(name, more));
}

const pools = () => [...source.current().pools.keys()];
/** "Accepted=False Conflicted: …", one line a condition. */
const conditions = (kind: ObjectKind, name: string) =>
  source
    .verdict(kind, 'team', name)
    ?.conditions.map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`) ?? [];

describe('from objects to a catalog', () => {
  test('a policy, its pool, an objective with a policy and a rewrite', async () => {
    pool('chat', { onDelete: 'ScaleToZero', models: [{ name: 'llama', aliases: ['gpt'] }] });
    world.put('InferenceObjective', 'night', { priority: -5, poolRef: { name: 'chat' } });
    world.put('ObjectivePolicy', 'op', { targetRefs: [{ name: 'night' }], activation: 'Batched', maxWait: '2h' });
    world.put('InferenceModelRewrite', 'rw', {
      poolRef: { name: 'chat' },
      rules: [{ targets: [{ modelRewrite: 'v2' }] }],
    });
    await open();
    const catalog = source.current();
    expect(catalog.generation).toBe(1);
    expect(catalog.pools.get('team/chat')).toMatchObject({
      policyName: 'chat',
      onDelete: 'ScaleToZero',
      pods: { matchLabels: { app: 'chat' }, ports: [8000] },
      targets: [{ name: 't', scaleTargetRef: ref('chat') }],
    });
    expect(catalog.objective('team/chat', 'night')).toMatchObject({
      priority: -5,
      activation: 'Batched',
      maxWaitMs: 7_200_000,
    });
    expect(catalog.rewrite(catalog.resolveModel('gpt')!, 'gpt', 0).servedModel).toBe('v2');
    expect(source.problems()).toEqual([]);
    expect(conditions('ScalePolicy', 'chat')).toEqual([
      'Accepted=True Accepted: It is in force.',
      'ResolvedRefs=True ResolvedRefs: Everything it names was found.',
    ]);
  });

  test('work that waits for its deadlines is taken as it is written', async () => {
    pool('chat');
    world.put('InferenceObjective', 'night', { priority: -5, poolRef: { name: 'chat' } });
    const spec = { targetRefs: [{ name: 'night' }], activation: 'Scheduled', defaultDeadline: '8h' };
    world.put('ObjectivePolicy', 'op', spec);
    await open();
    expect(source.current().objective('team/chat', 'night')).toMatchObject({
      activation: 'Scheduled',
      defaultDeadlineMs: 8 * 3_600_000,
    });
    expect(conditions('ObjectivePolicy', 'op')[0]).toBe('Accepted=True Accepted: It is in force.');
    expect(source.problems()).toEqual([]);
  });

  test('a pool of its own needs no InferencePool', async () => {
    world.feeds.InferencePool.become('absent');
    world.put('ScalePolicy', 'own', { pool: poolSpec('own'), models: [{ name: 'm' }], targets: [target('own')] });
    await open();
    expect(source.current().pools.get('team/own')?.pods).toEqual({ matchLabels: { app: 'own' }, ports: [8000] });
  });

  test("an InferencePool without a policy is somebody else's", async () => {
    world.put('InferencePool', 'theirs', poolSpec('theirs'));
    await open();
    expect(pools()).toEqual([]);
    expect(source.problems()).toEqual([]);
  });

  test('the same name in two namespaces is two pools', async () => {
    for (const namespace of ['team', 'other']) {
      world.put('InferencePool', 'chat', poolSpec('chat'), { namespace });
      world.put('ScalePolicy', 'chat', policySpec('chat', { models: [{ name: `m-${namespace}` }] }), { namespace });
    }
    await open();
    expect(pools().sort()).toEqual(['other/chat', 'team/chat']);
    expect(source.problems()).toEqual([]);
  });

  test('a key that a newer CRD has is ignored and told', async () => {
    pool('chat', { windows: ['mon'], keepWarm: { duration: '1m', hint: 'x' } });
    await open();
    expect(source.current().pools.get('team/chat')?.scale.keepWarmMs).toBe(60_000);
    expect(conditions('ScalePolicy', 'chat')[0]).toMatch(
      /^Accepted=True Accepted: spec\.keepWarm\.hint: is not known to this version.*spec\.windows: .*It is in force\.$/,
    );
  });
});

describe('changes', () => {
  test('all of one turn make one catalog; a status makes none', async () => {
    await open();
    for (const name of ['a', 'b', 'c']) pool(name);
    await settled();
    expect(heard.map(({ generation, pools: all }) => [generation, all.size])).toEqual([[2, 3]]);
    const stored = world.feeds.ScalePolicy.get('team', 'a')!;
    world.feeds.ScalePolicy.put({
      ...stored,
      status: { phase: 'Ready' },
      metadata: { ...stored.metadata, resourceVersion: '9' },
    });
    await settled();
    expect(heard).toHaveLength(1);
  });

  test('a list that replaces everything and holds the same makes no catalog', async () => {
    pool('a');
    await open();
    world.feeds.ScalePolicy.become('live');
    await settled();
    expect(heard).toEqual([]);
  });

  test('the catalog of before stays as it was', async () => {
    pool('a');
    await open();
    const before = source.current();
    pool('a', { paused: true });
    await settled();
    expect([before.pools.get('team/a')?.scale.paused, source.current().pools.get('team/a')?.scale.paused]).toEqual([
      false,
      true,
    ]);
    expect(source.current().generation).toBe(before.generation + 1);
  });

  test('a deleted policy takes its pool away, last seen with its onDelete', async () => {
    pool('a', { onDelete: 'ScaleToZero' });
    await open();
    expect(source.current().pools.get('team/a')?.onDelete).toBe('ScaleToZero');
    world.feeds.ScalePolicy.delete('a');
    await settled();
    expect(heard.map((catalog) => [...catalog.pools.keys()])).toEqual([[]]);
    expect(source.verdict('ScalePolicy', 'team', 'a')).toBeUndefined();
  });

  test('a policy that passes to another installation takes its pool away with onDelete: Keep', async () => {
    pool('a', { onDelete: 'ScaleToZero' });
    await open();
    world.put('ScalePolicy', 'a', policySpec('a', { onDelete: 'ScaleToZero', className: 'paris' }));
    await settled();
    expect(heard.map((catalog) => catalog.pools.get('team/a')?.onDelete)).toEqual(['Keep', undefined]);
    expect(heard.map((catalog) => catalog.generation)).toEqual([2, 3]);
  });

  test('after close nothing is followed', async () => {
    await open();
    source.close();
    pool('a');
    await settled();
    expect(heard).toEqual([]);
    expect(Object.values(world.feeds).map((feed) => feed.listeners)).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('an object at fault hurts no other', () => {
  const BAD = policySpec('a', { targets: [target('a', { minReplicas: 3, maxReplicas: 2 })] });

  test('a new one has no effect', async () => {
    pool('b');
    world.put('InferencePool', 'a', poolSpec('a'));
    world.put('ScalePolicy', 'a', BAD);
    await open();
    expect(pools()).toEqual(['team/b']);
    expect(conditions('ScalePolicy', 'a')).toEqual([
      'Accepted=False Invalid: spec.targets[0].minReplicas: 3 is more than maxReplicas 2; lower it or raise maxReplicas. It has no effect.',
      'ResolvedRefs=True ResolvedRefs: Everything it names was found.',
    ]);
    expect(source.verdict('ScalePolicy', 'team', 'a')).toMatchObject({ generation: 1, inForceGeneration: null });
  });

  test.each([
    {
      name: 'contradicts itself',
      spec: BAD,
      says: /^Accepted=False Invalid: .*minReplicas.* Generation 1, the last one that could be used, stays in force\.$/,
    },
    {
      name: 'does not fit its schema',
      spec: policySpec('a', { mode: 'Sideways' }),
      says: /^Accepted=False Invalid: spec\.mode: "Sideways" is not allowed.* Generation 1, /,
    },
    {
      name: 'wants to start a command',
      spec: policySpec('a', { targets: [{ name: 't', process: { command: ['sh', '{port}'] } }] }),
      says: /^Accepted=False Invalid: spec\.targets\[0\]\.process: starts commands on this machine.* Generation 1, /,
    },
    {
      name: "takes another policy's pool",
      spec: policySpec('b'),
      says: /^Accepted=False Conflicted: spec: the pool is already scaled by ScalePolicy team\/b \(created 1970-01-01T00:00:03Z\); delete one of the two\. Generation 1, /,
    },
  ])('one whose new version $name stays in force as it was', async ({ spec, says }) => {
    world.put('InferencePool', 'a', poolSpec('a'));
    world.put('InferencePool', 'b', poolSpec('b'));
    // Older than the policy that is edited below.
    world.put('ScalePolicy', 'b', policySpec('b'));
    world.put('ScalePolicy', 'a', policySpec('a', { drain: { timeout: '5m' } }));
    await open();
    const version = source.current().pools.get('team/a');
    world.put('ScalePolicy', 'a', spec);
    await settled();
    expect(source.current().pools.get('team/a')).toEqual(version);
    expect(conditions('ScalePolicy', 'a')[0]).toMatch(says);
    expect(source.verdict('ScalePolicy', 'team', 'a')).toMatchObject({ generation: 2, inForceGeneration: 1 });
    expect(heard).toEqual([]);
    world.put('ScalePolicy', 'a', policySpec('a', { paused: true }));
    await settled();
    expect(source.current().pools.get('team/a')?.scale.paused).toBe(true);
    expect(source.verdict('ScalePolicy', 'team', 'a')?.inForceGeneration).toBe(3);
  });

  test('an objective of a pool whose policy has a fault is not blamed for it', async () => {
    world.put('InferencePool', 'a', poolSpec('a'));
    world.put('ScalePolicy', 'a', BAD);
    world.put('InferenceObjective', 'o', { poolRef: { name: 'a' } });
    await open();
    expect(source.problems().map(({ object }) => object)).toEqual(['ScalePolicy team/a']);
  });
});

describe('two installations', () => {
  test('each acts on the policies of its own class, and neither says anything about the other', async () => {
    for (const name of ['berlin', 'paris']) pool(name, { className: name });
    pool('anybody');
    world.put('InferencePool', 'broken', poolSpec('broken'));
    world.put('ScalePolicy', 'broken', { className: 'paris', mode: 'Sideways' });
    world.put('InferenceObjective', 'o', { poolRef: { name: 'paris' } });
    world.put('InferenceModelRewrite', 'r', { poolRef: { name: 'paris' }, rules: [] });
    const berlin = kubeWorld('berlin');
    Object.assign(berlin.feeds, world.feeds);
    source = berlin.open();
    await source.whenReady(AbortSignal.timeout(5_000));
    expect(pools().sort()).toEqual(['team/anybody', 'team/berlin']);
    expect(source.problems()).toEqual([]);
    expect(source.verdict('ScalePolicy', 'team', 'paris')).toBeUndefined();
    expect(source.verdict('ScalePolicy', 'team', 'broken')).toBeUndefined();
    expect(source.verdicts().filter(({ kind }) => kind === 'ScalePolicy')).toHaveLength(2);
  });
});

describe('feeds that do not deliver', () => {
  test('before every kind was listed there is no catalog', async () => {
    world.feeds.InferenceObjective.become('syncing');
    pool('a');
    source = world.open();
    source.onChange((catalog) => heard.push(catalog));
    await settled();
    expect(source.current().generation).toBe(0);
    expect(pools()).toEqual([]);
    await expect(source.whenReady(AbortSignal.timeout(1))).rejects.toMatchObject({ name: 'TimeoutError' });
    world.feeds.InferenceObjective.become('live');
    await source.whenReady(AbortSignal.timeout(5_000));
    expect(pools()).toEqual(['team/a']);
  });

  test('kinds that the server refuses to list are done without after a while, ScalePolicies never', async () => {
    world = kubeWorld('local', { refusedGraceMs: 1 });
    world.feeds.InferenceObjective.become('syncing', 'the ServiceAccount may not list inferenceobjectives');
    pool('a');
    await open();
    expect(pools()).toEqual(['team/a']);
    expect(source.problems().map(formatProblem)).toEqual([
      'warning: kubernetes: InferenceObjective (llm-d.ai/v1alpha2) was not listed yet: the ServiceAccount may not list inferenceobjectives',
    ]);
  });

  test('a feed that is old keeps the catalog and says so', async () => {
    pool('a');
    await open();
    world.feeds.ScalePolicy.become('stale', 'connection refused');
    await settled();
    expect(pools()).toEqual(['team/a']);
    expect(heard).toEqual([]);
    expect(source.problems().map(formatProblem)).toEqual([
      'warning: kubernetes: ScalePolicy (pilotlight.dev/v1alpha1) is old: connection refused; what was heard last holds',
    ]);
  });

  test('without the CRD of ScalePolicy there is an error with the remedy, and no pool', async () => {
    world.feeds.ScalePolicy.become('absent');
    await open();
    expect(pools()).toEqual([]);
    expect(source.problems().map(formatProblem)).toEqual([
      "kubernetes: ScalePolicy (pilotlight.dev/v1alpha1) is not installed; install Pilotlight's CRDs (the chart's crds.install, or infra/crds)",
    ]);
  });
});

test('verdicts are told when they change, also without a new catalog', async () => {
  pool('a');
  await open();
  let told = 0;
  const stop = source.onVerdicts(() => {
    told += 1;
  });
  world.put('ScalePolicy', 'late', policySpec('a', { models: [{ name: 'n' }] }));
  await settled();
  expect([told, heard.length]).toEqual([1, 0]);
  stop();
  world.feeds.ScalePolicy.delete('late');
  await settled();
  expect(told).toBe(1);
});

test('a message is never longer than a status may hold', async () => {
  pool('a', { models: Array.from({ length: 50 }, (_, index) => ({ name: `model-${index}` })) });
  pool('b', { models: Array.from({ length: 50 }, (_, index) => ({ name: `model-${index}` })) });
  await open();
  const [accepted] = source.verdict('ScalePolicy', 'team', 'b')!.conditions;
  expect(accepted.message.length).toBe(1_024);
});
