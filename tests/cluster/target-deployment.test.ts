import { expect, test } from 'vitest';
import { KUBE_MARKS } from '../../src/core/kubernetes.ts';
import { until } from '../support/until.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { openTarget, poolOf } from './support/open-target.ts';
import { workload } from './support/sim-pool.ts';

const FAST = { 'probe-ms': '100' };
const READY_MS = 60_000;

describeCluster('a Deployment as scale target', () => {
  const namespace = useNamespace({ prefix: 'target', nodes: [{ gpus: 3 }] });

  async function chat(options: Parameters<typeof workload>[0] = {}): Promise<void> {
    await namespace()
      .cluster.api.request({
        method: 'DELETE',
        path: `/apis/apps/v1/namespaces/${namespace().name}/deployments/chat`,
      })
      .catch(() => undefined);
    await until(async () => (await namespace().pods('app=chat')).length === 0, 'the pods before are gone', READY_MS);
    await namespace().apply([workload({ graceSeconds: 5, ...options, behaviour: { ...FAST, ...options.behaviour } })]);
  }

  async function specReplicas(): Promise<number> {
    const path = `/apis/apps/v1/namespaces/${namespace().name}/deployments/chat`;
    const { spec } = (await namespace().cluster.api.request({ method: 'GET', path })) as { spec: { replicas: number } };
    return spec.replicas;
  }

  test('goes from zero to three and back, ends the drained one, and never lists too few', async () => {
    await chat();
    const { target, endpoints, key, phases, uids, start, metrics, state } = await openTarget(
      namespace(),
      poolOf(namespace()),
    );
    const atZero = state();
    expect(atZero).toMatchObject({ specReplicas: 0, noUpWhy: null, noDownWhy: null });
    const counts = new Set<number>();
    await start(3);
    target.onReplicaChange(() => counts.add(target.replicas(key).length));
    expect(phases()).toEqual(['Requested', 'Requested', 'Requested']);
    await until(() => phases().every((phase) => phase === 'Ready'), 'three are ready', READY_MS);
    expect([...counts]).toEqual([3]);
    expect(state().templateHash).toBe(atZero.templateHash);
    expect(target.replicas(key).map(({ templateHash }) => templateHash)).toEqual(Array(3).fill(atZero.templateHash));
    expect(endpoints.list(key)).toHaveLength(3);

    const [, victim = ''] = uids();
    await target.drain(key, [victim]);
    expect(
      endpoints
        .list(key)
        .filter(({ draining }) => draining)
        .map(({ id }) => id.split('@')[0]),
    ).toEqual([victim]);
    expect(await target.stop(key, [victim])).toEqual([victim]);
    await until(() => target.replicas(key).length === 2, 'it is gone', READY_MS);
    expect(uids()).not.toContain(victim);
    await target.stop(key, uids());
    await until(() => target.replicas(key).length === 0, 'none is left', READY_MS);
    expect(await specReplicas()).toBe(0);
    expect((await metrics.wrongVictimsTotal.get()).values).toEqual([]);
    expect(endpoints.list(key)).toEqual([]);
  });

  test('a fourth pod without a GPU is Unschedulable, and waits by name while another one ends', async () => {
    await chat({ behaviour: { 'terminate-ms': '4000' } });
    const { target, key, phases, uids, start } = await openTarget(namespace(), poolOf(namespace()));
    await start(4);
    await until(() => phases().filter((phase) => phase === 'Ready').length === 3, 'three are ready', READY_MS);
    const kinds = () => target.replicas(key).flatMap(({ trouble }) => (trouble === null ? [] : [trouble.kind]));
    await until(() => kinds().includes('Unschedulable'), 'the fourth has no node');
    expect(phases().filter((phase) => phase === 'Pending')).toHaveLength(1);
    // A ready one would not go: the ReplicaSet removes the pending one first.
    expect(await target.stop(key, uids('Ready').slice(0, 1))).toEqual([]);
    const path = `/api/v1/namespaces/${namespace().name}/pods`;
    const [pod] = await namespace().pods('app=chat');
    const ready = target.replicas(key).find(({ phase, uid }) => phase === 'Ready' && uid === pod?.metadata.uid);
    const gone =
      ready === undefined
        ? (await namespace().pods('app=chat')).find(({ metadata }) => uids('Ready').includes(metadata.uid ?? ''))
        : pod;
    await namespace().cluster.api.request({ method: 'DELETE', path: `${path}/${gone?.metadata.name ?? ''}` });
    await until(() => kinds().includes('WaitingForGpu'), 'it waits for the GPU of the one that ends');
    await target.stop(key, uids());
  });

  test('an image that cannot be pulled is Stuck for good, and a fixed template is another template', async () => {
    await chat({ image: 'registry.example/nothing:1' });
    const { target, key, phases, start, state } = await openTarget(namespace(), poolOf(namespace()));
    const before = state().templateHash;
    await start(1);
    await until(() => phases().includes('Stuck'), 'the pull has failed', READY_MS);
    expect(target.replicas(key)[0]?.trouble).toMatchObject({ kind: 'ImagePull', permanent: true, blocksOrders: true });
    expect(state().templateHash).toBe(before);
    await namespace().apply([workload({ graceSeconds: 5, replicas: 1, behaviour: FAST })]);
    await until(() => phases().includes('Ready'), 'the new template boots', READY_MS);
    await until(() => state().templateHash !== before, 'the new template is read', READY_MS);
    expect(state().rollsItself).toBe(true);
  });

  test('a scale by hand is held and named; a HorizontalPodAutoscaler is refused', async () => {
    await chat();
    const { state, start } = await openTarget(namespace(), poolOf(namespace()));
    await start(1);
    const scale = {
      method: 'PATCH',
      patch: 'merge',
      body: { spec: { replicas: 2 } },
      query: { fieldManager: 'kubectl' },
    } as const;
    const path = `/apis/apps/v1/namespaces/${namespace().name}/deployments/chat/scale`;
    await namespace().cluster.api.request({ ...scale, path });
    await until(() => state().conditions.some(({ reason }) => reason === 'ManualScale'), 'the hold is seen');
    expect(state().noUpWhy).toContain('kubectl set Deployment chat to 2');
    await expect(start(1)).rejects.toThrow('kubectl');
    expect(await specReplicas()).toBe(2);

    await namespace().apply([
      {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name: 'by-cpu' },
        spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'chat' }, maxReplicas: 2 },
      },
    ]);
    await until(() => state().conditions.some(({ reason }) => reason === 'OtherAutoscaler'), 'the HPA is seen');
    expect(state().noDownWhy).toContain('HorizontalPodAutoscaler by-cpu');
    await namespace().cluster.api.request({
      method: 'DELETE',
      path: `/apis/autoscaling/v2/namespaces/${namespace().name}/horizontalpodautoscalers/by-cpu`,
    });
  });

  test('a quota is named, and a released pool keeps no mark', async () => {
    await chat();
    const pool = { ...poolOf(namespace()), onDelete: 'ScaleToZero' } as const;
    const { target, key, phases, uids, start, state, catalog } = await openTarget(namespace(), pool);
    await namespace().apply([
      {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name: 'gpus' },
        spec: { hard: { 'requests.nvidia.com/gpu': '1' } },
      },
    ]);
    await start(2);
    await until(() => state().noUpWhy?.includes('exceeded quota') === true, 'the quota is seen', READY_MS);
    expect(target.replicas(key).some(({ trouble }) => trouble?.kind === 'QuotaExceeded')).toBe(true);
    await until(() => phases().includes('Ready'), 'one is ready', READY_MS);
    await target.drain(key, uids('Ready'));
    catalog.replace();
    await target.release(pool);
    expect(await specReplicas()).toBe(0);
    for (const { metadata } of await namespace().pods('app=chat')) {
      expect(metadata.annotations?.[KUBE_MARKS.drain]).toBeUndefined();
    }
    await namespace().cluster.api.request({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace().name}/resourcequotas/gpus`,
    });
  });

  test('from the order to the stored number it takes a few milliseconds', async () => {
    await chat({ image: 'registry.example/nothing:1' });
    const { target, key, uids, start } = await openTarget(namespace(), poolOf(namespace()));
    const tookMs: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      const startedMs = performance.now();
      await start(1);
      tookMs.push(performance.now() - startedMs);
      await target.stop(key, uids());
      await until(() => target.replicas(key).length === 0, 'it is gone again');
    }
    tookMs.sort((a, b) => a - b);
    console.log(`start to stored: median ${tookMs[10]?.toFixed(1)} ms, worst of 20 ${tookMs[19]?.toFixed(1)} ms`);
    expect(tookMs[10]).toBeLessThan(250);
  });
});
