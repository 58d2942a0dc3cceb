import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KubeCatalogSource } from '../../../src/config/objects/kube-catalog-source.ts';
import type { ObjectKind } from '../../../src/config/objects/parse-objects.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import type { Catalog } from '../../../src/core/objects.ts';
import { type KubeWorld, kubeWorld } from './kube-feed.ts';

const poolSpec = (app: string) => ({ selector: { matchLabels: { app } }, targetPorts: [{ number: 8000 }] });
const ref = (name: string) => ({ apiVersion: 'apps/v1', kind: 'Deployment', name });
const target = (name: string, more: object = {}) => ({ name: 't', scaleTargetRef: ref(name), ...more });
/** A policy for the InferencePool of the same name, with a model and a workload of that name. */
const policySpec = (name: string, more: object = {}) => ({
  poolRef: { name },
  models: [{ name }],
  targets: [target(name)],
  ...more,
});

let world: KubeWorld;
let source: KubeCatalogSource;
let heard: Catalog[];

beforeEach(() => {
  world = kubeWorld();
  heard = [];
});
afterEach(() => source.close());

/** The next turns of the event loop have passed: what was heard is compiled. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

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

describe('what it names', () => {
  test('a pool that is not there, and comes later', async () => {
    world.put('ScalePolicy', 'a', policySpec('a'));
    await open();
    expect(conditions('ScalePolicy', 'a')).toEqual([
      'Accepted=True Accepted: It has no effect.',
      'ResolvedRefs=False PoolNotFound: spec.poolRef.name: there is no InferencePool "a" in namespace "team"; add it or correct the name. It has no effect.',
    ]);
    world.put('InferencePool', 'a', poolSpec('a'));
    await settled();
    expect(pools()).toEqual(['team/a']);
    expect(conditions('ScalePolicy', 'a')[1]).toMatch(/^ResolvedRefs=True/);
  });

  test('a pool in another namespace is not there', async () => {
    world.put('InferencePool', 'a', poolSpec('a'), { namespace: 'other' });
    world.put('ScalePolicy', 'a', policySpec('a'));
    await open();
    expect(conditions('ScalePolicy', 'a')[1]).toMatch(/PoolNotFound: .*in namespace "team"/);
  });

  test('a pool that is deleted while a policy is about it stays in force, and the policy says so', async () => {
    pool('a');
    await open();
    world.feeds.InferencePool.delete('a');
    await settled();
    expect(pools()).toEqual(['team/a']);
    expect(heard).toEqual([]);
    expect(conditions('ScalePolicy', 'a')).toEqual([
      'Accepted=True Accepted: It is in force.',
      'ResolvedRefs=False PoolNotFound: spec.poolRef.name: the InferencePool "team/a" was deleted; what it said stays in force until Pilotlight restarts: add it again, or delete the policy.',
    ]);
    world.feeds.ScalePolicy.delete('a');
    await settled();
    expect(pools()).toEqual([]);
    world.put('ScalePolicy', 'a', policySpec('a'));
    await settled();
    expect(conditions('ScalePolicy', 'a')[1]).toMatch(/there is no InferencePool "a"/);
  });

  test('an InferencePool whose CRD is not installed', async () => {
    world.feeds.InferencePool.become('absent');
    world.put('ScalePolicy', 'a', policySpec('a'));
    await open();
    expect(conditions('ScalePolicy', 'a')[1]).toMatch(
      /^ResolvedRefs=False CrdMissing: spec\.poolRef: no InferencePool can be read: it is not installed; install the CRDs of the Gateway API Inference Extension.*or use pool/,
    );
    expect(source.problems().map(formatProblem)[0]).toMatch(
      /^warning: kubernetes: InferencePool \(inference\.networking\.k8s\.io\/v1\) is not installed; install/,
    );
    world.feeds.InferencePool.become('live');
    world.put('InferencePool', 'a', poolSpec('a'));
    await settled();
    expect(pools()).toEqual(['team/a']);
  });

  test('objectives that are not there leave the rest of an ObjectivePolicy in force', async () => {
    pool('a');
    world.put('InferenceObjective', 'o', { poolRef: { name: 'a' } });
    world.put('ObjectivePolicy', 'op', { targetRefs: [{ name: 'o' }, { name: 'x' }], maxWait: '1m' });
    await open();
    expect(source.current().objective('team/a', 'o')?.maxWaitMs).toBe(60_000);
    expect(conditions('ObjectivePolicy', 'op')).toEqual([
      'Accepted=True Accepted: It is in force.',
      'ResolvedRefs=False ObjectiveNotFound: spec.targetRefs[1].name: there is no InferenceObjective "x" in namespace "team"; add it or correct the name.',
    ]);
  });
});

describe('conflicts', () => {
  test('two policies for one pool: the older has it', async () => {
    pool('a');
    world.put('ScalePolicy', 'late', policySpec('a', { models: [{ name: 'n' }], targets: [target('late')] }));
    await open();
    expect(source.current().pools.get('team/a')?.policyName).toBe('a');
    expect(conditions('ScalePolicy', 'late')[0]).toBe(
      'Accepted=False Conflicted: spec: the pool is already scaled by ScalePolicy team/a (created 1970-01-01T00:00:02Z); delete one of the two. It has no effect.',
    );
    world.feeds.ScalePolicy.delete('a');
    await settled();
    expect(source.current().pools.get('team/a')?.policyName).toBe('late');
  });

  test('a model name in two policies: the older has it, the newer the rest of its names', async () => {
    pool('a', { models: [{ name: 'm' }] });
    pool('b', { models: [{ name: 'm' }, { name: 'n' }] });
    await open();
    expect(source.current().resolveModel('m')?.pool.key).toBe('team/a');
    expect(source.current().resolveModel('n')?.pool.key).toBe('team/b');
    expect(conditions('ScalePolicy', 'b')[0]).toMatch(
      /^Accepted=False Conflicted: spec\.models\[0\]\.name: "m" already leads to ScalePolicy team\/a .*; use another name\.$/,
    );
  });

  test('a workload in two policies: the older scales it', async () => {
    pool('a');
    pool('b', { targets: [target('a', { scaleTargetRef: { ...ref('a'), apiVersion: 'apps/v1beta1' } })] });
    await open();
    expect(source.current().pools.get('team/b')?.targets).toEqual([]);
    expect(conditions('ScalePolicy', 'b')[0]).toMatch(
      /^Accepted=False Conflicted: spec\.targets\[0\]\.scaleTargetRef: Deployment "a" is already scaled by ScalePolicy team\/a/,
    );
  });

  test.each([
    { name: 'the same labels', labels: { app: 'a' } },
    { name: 'labels that include those of the other', labels: { app: 'a', tier: 'x' } },
  ])('two pools on the same pods, by $name, are told of the newer', async ({ labels }) => {
    pool('a');
    world.put('InferencePool', 'b', { ...poolSpec('b'), selector: { matchLabels: labels } });
    world.put('ScalePolicy', 'b', policySpec('b'));
    await open();
    expect(pools()).toEqual(['team/a', 'team/b']);
    expect(conditions('ScalePolicy', 'b')[0]).toMatch(
      /^Accepted=True SelectorOverlap: spec\.poolRef: its selector and that of the pool of ScalePolicy team\/a .*find the same pods; give each pool a label of its own/,
    );
    expect(conditions('ScalePolicy', 'a')[0]).toBe('Accepted=True Accepted: It is in force.');
  });

  test('an InferencePool that somebody makes beside a pool of the same name does not stop it', async () => {
    world.put('ScalePolicy', 'own', { pool: poolSpec('own'), models: [{ name: 'm' }], targets: [target('own')] });
    await open();
    world.put('InferencePool', 'own', poolSpec('other'));
    await settled();
    expect(heard).toEqual([]);
    expect(conditions('ScalePolicy', 'own')[0]).toMatch(
      /^Accepted=False Conflicted: spec\.pool: an InferencePool "own" exists too.*The policy's own pool holds\.$/,
    );
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
