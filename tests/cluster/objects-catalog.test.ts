import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { crdFiles } from '../../src/config/crds/crds.ts';
import { KubeCatalogSource } from '../../src/config/objects/kube-catalog-source.ts';
import { configurationSchema } from '../../src/config/schema/configuration.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openKubeApi } from '../../src/platform/kubernetes/api.ts';
import { openFeed } from '../../src/platform/kubernetes/feed.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { RESOURCES } from '../../src/roles/cluster/resources.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

const parts = { clock: systemClock, random: systemRandom, log: silentLogger };
const policy = (name: string, more: object = {}) => ({
  apiVersion: 'pilotlight.dev/v1alpha1',
  kind: 'ScalePolicy',
  metadata: { name },
  spec: {
    pool: { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] },
    models: [{ name }],
    targets: [{ name: 't', scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name } }],
    ...more,
  },
});

describeCluster('the catalog of a real API server', () => {
  const namespace = useNamespace();
  beforeAll(async () => {
    for (const file of Object.values(crdFiles())) await namespace().cluster.apply(file);
  });

  async function open(): Promise<KubeCatalogSource> {
    const { cluster, name } = namespace();
    const api = await openKubeApi({ kubeconfig: cluster.kubeconfig, context: null, namespace: name, ...parts });
    const follow = (resource: Parameters<typeof openFeed>[0]['resource']) =>
      openFeed({ api, resource, namespaces: [name], ...parts });
    const feeds = {
      ScalePolicy: follow(RESOURCES.scalePolicies),
      ObjectivePolicy: follow(RESOURCES.objectivePolicies),
      InferencePool: follow(RESOURCES.pools),
      InferenceObjective: follow(RESOURCES.objectives),
      InferenceModelRewrite: follow(RESOURCES.rewrites),
    };
    const settings = configurationSchema.parse({ kubernetes: { enabled: true } });
    const source = new KubeCatalogSource({ feeds, settings });
    onTestFinished(async () => {
      source.close();
      await Promise.all(Object.values(feeds).map((feed) => feed.close()));
      await api.close();
    });
    await source.whenReady(AbortSignal.timeout(30_000));
    return source;
  }

  test('a policy comes, is edited into what its CRD cannot judge, is mended, and goes', async () => {
    const here = namespace();
    await here.apply([policy('chat', { onDelete: 'ScaleToZero' })]);
    const source = await open();
    const key = `${here.name}/chat`;
    const pool = () => source.current().pools.get(key);
    const accepted = () => source.verdict('ScalePolicy', here.name, 'chat')?.conditions[0];
    expect(pool()).toMatchObject({ onDelete: 'ScaleToZero', pods: { matchLabels: { app: 'chat' }, ports: [8000] } });
    expect(accepted()).toMatchObject({ status: 'True', reason: 'Accepted' });

    // CEL knows no days.
    await here.apply([policy('chat', { boot: { expectedDuration: '2d', timeout: '1d' }, onDelete: 'ScaleToZero' })]);
    await until(() => accepted()?.status === 'False', 'the fault is seen');
    expect(accepted()).toMatchObject({
      reason: 'Invalid',
      message: expect.stringContaining('Generation 1,') as string,
    });
    expect(pool()?.scale.bootTimeoutMs).toBe(1_800_000);

    await here.apply([policy('chat', { boot: { expectedDuration: '1d', timeout: '2d' }, onDelete: 'ScaleToZero' })]);
    await until(() => pool()?.scale.bootTimeoutMs === 172_800_000, 'the mended version is in force');
    expect(source.verdict('ScalePolicy', here.name, 'chat')).toMatchObject({ generation: 3, inForceGeneration: 3 });

    await here.cluster.remove([policy('chat')], here.name);
    await until(() => pool() === undefined, 'the pool is gone');
  });

  test('of two policies with one model the older keeps the name', async () => {
    const here = namespace();
    await here.apply([policy('first', { models: [{ name: 'shared' }] })]);
    const source = await open();
    await here.apply([policy('second', { models: [{ name: 'shared' }, { name: 'own' }] })]);
    await until(() => source.current().resolveModel('own') !== undefined, 'the second is there');
    expect(source.current().resolveModel('shared')?.pool.name).toBe('first');
    expect(source.verdict('ScalePolicy', here.name, 'second')?.conditions[0].reason).toBe('Conflicted');
  });
});
