import { expect, test } from 'vitest';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { until } from '../support/until.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { openTarget, poolOf } from './support/open-target.ts';
import { workload } from './support/sim-pool.ts';

const READY_MS = 60_000;
const FAST = { 'probe-ms': '100' };

const FARM_CRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'gpufarms.target.test' },
  spec: {
    group: 'target.test',
    names: { kind: 'GpuFarm', plural: 'gpufarms', singular: 'gpufarm' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
      },
    ],
  },
};

describeCluster('other kinds as scale targets', () => {
  const namespace = useNamespace({ prefix: 'kinds', nodes: [{ gpus: 4 }] });

  async function gone(): Promise<void> {
    await until(async () => (await namespace().pods('app=chat')).length === 0, 'no pod is left', READY_MS);
  }

  test('a StatefulSet gives up its highest ordinal first, and a lower one waits', async () => {
    await namespace().apply([workload({ kind: 'StatefulSet', replicas: 0, graceSeconds: 5, behaviour: FAST })]);
    const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'chat' };
    const { target, key, phases, start, state } = await openTarget(
      namespace(),
      poolOf(namespace(), { scaleTargetRef }),
    );
    const before = state().templateHash;
    await start(3);
    await until(
      () => phases().length === 3 && phases().every((phase) => phase === 'Ready'),
      'three are ready',
      READY_MS,
    );
    const byOrdinal = (ordinal: number): string =>
      target.replicas(key).find(({ removalOrder }) => removalOrder === ordinal)?.uid ?? '';
    expect(target.replicas(key).map(({ templateHash }) => templateHash)).toEqual([before, before, before]);
    const [zero, one, two] = [byOrdinal(0), byOrdinal(1), byOrdinal(2)];
    expect(await target.stop(key, [zero, two])).toEqual([two]);
    await until(() => target.replicas(key).length === 2, 'the highest is gone', READY_MS);
    expect([byOrdinal(0), byOrdinal(1)]).toEqual([zero, one]);
    await target.stop(key, [zero, one]);
    await gone();
    expect(state().specReplicas).toBe(0);
  });

  test('ready pods of a Deployment go by our choice, again and again; one that boots is never hit instead', async () => {
    await namespace().apply([workload({ replicas: 0, graceSeconds: 5, behaviour: FAST })]);
    const { target, key, phases, uids, start, metrics } = await openTarget(namespace(), poolOf(namespace()));
    for (let round = 0; round < 4; round += 1) {
      await start(3 - target.replicas(key).filter(({ terminating }) => !terminating).length);
      const serve = (): boolean => phases().filter((phase) => phase === 'Ready').length === 3;
      await until(serve, 'three are ready', READY_MS);
      const victim = uids('Ready')[round % 3] ?? '';
      const kept = uids('Ready').filter((uid) => uid !== victim);
      await start(1);
      const early = await target.stop(key, [victim]);
      // The one just asked for would go in its place, so the victim waits for it.
      expect(early).toEqual([]);
      await until(() => phases().filter((phase) => phase === 'Ready').length === 4, 'the fourth is ready', READY_MS);
      expect(await target.stop(key, [victim])).toEqual([victim]);
      await until(() => !uids().includes(victim), 'the victim is gone', READY_MS);
      for (const uid of kept) expect(uids('Ready')).toContain(uid);
      expect(await target.stop(key, uids('Ready').slice(0, 1))).toHaveLength(1);
      await until(() => target.replicas(key).length === 2, 'two are left', READY_MS);
    }
    expect((await metrics.wrongVictimsTotal.get()).values).toEqual([]);
    await target.stop(key, uids());
    await gone();
  });

  test('a roll-out holds back every step down, and the number of replicas is no template', async () => {
    await namespace().apply([workload({ replicas: 2, graceSeconds: 5, behaviour: FAST })]);
    const { target, key, phases, uids, state } = await openTarget(namespace(), poolOf(namespace()));
    await until(() => phases().filter((phase) => phase === 'Ready').length === 2, 'two are ready', READY_MS);
    await namespace().apply([workload({ replicas: 2, graceSeconds: 5, behaviour: { ...FAST, readiness: 'failing' } })]);
    await until(() => state().noDownWhy?.includes('roll-out') === true, 'the roll-out is seen');
    await expect(target.stop(key, uids('Ready').slice(0, 1))).rejects.toThrow('roll-out');
    await namespace().apply([workload({ replicas: 2, graceSeconds: 5, behaviour: { ...FAST, 'pull-ms': '1' } })]);
    await until(() => state().noDownWhy === null && phases().length === 2, 'it is over', READY_MS);
    await target.stop(key, uids());
    await gone();
  });

  test('any custom resource with a /scale is scaled, and its pods are found by its selector', async () => {
    await namespace().apply([
      FARM_CRD,
      {
        apiVersion: 'target.test/v1',
        kind: 'GpuFarm',
        metadata: { name: 'chat' },
        spec: { replicas: 0, template: 'one' },
      },
    ]);
    const scaleTargetRef = { apiVersion: 'target.test/v1', kind: 'GpuFarm', name: 'chat' };
    const { target, key, phases, start, state } = await openTarget(
      namespace(),
      poolOf(namespace(), { scaleTargetRef }),
    );
    await until(() => state().noUpWhy === null, 'it was read');
    expect(state().specReplicas).toBe(0);
    const before = state().templateHash;
    await start(2);
    expect(phases()).toEqual(['Requested', 'Requested']);
    const farm = (await namespace().get('target.test/v1', 'GpuFarm', 'chat')) as KubeObject & {
      spec: { replicas: number };
    };
    expect(farm.spec.replicas).toBe(2);
    const path = `/apis/target.test/v1/namespaces/${namespace().name}/gpufarms/chat/status`;
    const status = { replicas: 1, selector: 'app=chat' };
    await namespace().cluster.api.request({ method: 'PATCH', patch: 'merge', path, body: { status } });
    const { spec } = workload({ behaviour: FAST }) as { spec: { template: { metadata: object; spec: object } } };
    await namespace().apply([
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...spec.template.metadata, name: 'farm-0' },
        spec: spec.template.spec,
      },
    ]);
    await until(() => phases().join() === 'Ready,Requested', 'its pod is one of the two', READY_MS);
    expect(state().templateHash).toBe(before);
    await target.stop(
      key,
      target.replicas(key).map(({ uid }) => uid),
    );
    expect(state().specReplicas).toBe(0);
  });

  test('a missing right is named with verb and resource, and used as soon as it is given', async () => {
    await namespace().apply([workload({ replicas: 0, graceSeconds: 5, behaviour: FAST })]);
    const { start, state } = await openTarget(namespace(), poolOf(namespace()));
    const role = (await namespace().get('rbac.authorization.k8s.io/v1', 'Role', 'target')) as KubeObject & {
      rules: { resources: string[]; verbs: string[] }[];
    };
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace().name}/roles/target`;
    const set = (rules: unknown): Promise<unknown> =>
      namespace().cluster.api.request({ method: 'PATCH', patch: 'merge', path, body: { rules } });
    await set(
      role.rules.map((rule) => (rule.resources.includes('deployments/scale') ? { ...rule, verbs: ['get'] } : rule)),
    );
    await until(async () => (await start(1).then(() => '', String)).includes('cannot patch'), 'the right is missing');
    expect(state().conditions).toContainEqual(expect.objectContaining({ type: 'Permitted', status: false }));
    expect(state().noUpWhy).toContain('patch deployments/scale');
    await set(role.rules);
    await until(
      async () =>
        await start(1).then(
          () => true,
          () => false,
        ),
      'the right is used',
    );
  });
});
