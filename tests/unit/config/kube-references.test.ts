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
