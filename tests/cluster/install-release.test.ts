import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { type Cluster, startCluster } from './support/cluster.ts';
import { CHART, type Helm, LEAST_VALUES, toObjects, useHelm, type Values } from './support/helm.ts';
import { describeCluster } from './support/namespace.ts';
import { applyCrds } from './support/sim-pool.ts';

const NAMESPACE = 'pilotlight';
const BUNDLED: Values = { ...LEAST_VALUES, redis: { bundled: { enabled: true } } };
const POLICY = { apiVersion: 'pilotlight.dev/v1alpha1', kind: 'ScalePolicy' };

/** With a control plane of their own: CRDs belong to a whole cluster. */
describeCluster('the chart as a release in a real cluster', () => {
  const helm = useHelm();
  let cluster: Cluster | undefined;

  beforeAll(async () => {
    const shared = inject('cluster');
    if (helm.isMissing() || shared.kind === 'missing') return;
    cluster = await startCluster({ tools: shared.tools });
  });
  afterAll(() => cluster?.close());

  const here = () => cluster!;
  const installed = () => helm().withCluster(here().kubeconfig);

  function release(
    verb: 'install' | 'upgrade',
    values: Values,
    { chart = copyOfChart(), name = 'pilotlight' } = {},
  ): string {
    const extra = verb === 'install' ? ['--create-namespace'] : [];
    return succeed(installed().run([verb, name, chart, '-n', NAMESPACE, '-f', '-', ...extra], values));
  }

  const uninstall = (name = 'pilotlight') => succeed(installed().run(['uninstall', name, '-n', NAMESPACE]));

  test('it installs, says what comes next, and an upgrade keeps the password of the bundled Redis', async () => {
    const notes = release('install', BUNDLED);
    expect(notes).toContain('kubectl -n pilotlight rollout status statefulset/pilotlight-gateway');
    expect(notes).toContain('Namespace pilotlight lists no workloads, so nothing there can be scaled yet');
    const secret = await secretOf(here());
    release('upgrade', { ...BUNDLED, config: { ...(BUNDLED['config'] as object), log: { level: 'debug' } } });
    expect(await secretOf(here())).toEqual(secret);
    const map = await here().get('v1', 'ConfigMap', 'pilotlight-configuration', NAMESPACE);
    expect(JSON.stringify(map)).toContain('level: debug');
    uninstall();
    expect(await here().get('apps/v1', 'StatefulSet', 'pilotlight-gateway', NAMESPACE)).toBeNull();
  });

  test('CRDs of an older release are upgraded with it, and the objects stay what they were', async () => {
    release('install', LEAST_VALUES, { chart: olderChart() });
    const old = (await here().apply([policy('kept')], NAMESPACE))[0]!;
    const further = { ...policy('further'), spec: { ...policy('further').spec, onDelete: ON_DELETE } };
    await expect(here().apply([further], NAMESPACE)).rejects.toThrow('onDelete');
    release('upgrade', LEAST_VALUES);
    expect(await kept('kept')).toMatchObject({ metadata: { uid: old.metadata.uid }, spec: policy('kept').spec });
    await here().apply([further], NAMESPACE);
    expect(await kept('further')).toMatchObject({ spec: { onDelete: ON_DELETE } });
    uninstall();
  });

  test('CRDs and objects stay when the release goes, and the next release takes them over', async () => {
    release('install', LEAST_VALUES);
    const stored = (await here().apply([policy('stays')], NAMESPACE))[0]!;
    uninstall();
    expect(await kept('stays')).toMatchObject({ metadata: { uid: stored.metadata.uid } });
    release('install', LEAST_VALUES);
    expect(await kept('stays')).toMatchObject({ metadata: { uid: stored.metadata.uid } });
    uninstall();
  });

  test('CRDs that somebody else installed are left alone with crds.install=false', async () => {
    for (const name of crdNames()) {
      const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
      const body = { metadata: { annotations: { 'installed-by': 'somebody' } } };
      await here().api.request({ method: 'PATCH', path, patch: 'merge', body });
    }
    release('install', { ...LEAST_VALUES, crds: { install: false } }, { name: 'other' });
    for (const name of crdNames()) {
      const crd = await here().get('apiextensions.k8s.io/v1', 'CustomResourceDefinition', name);
      expect(crd?.metadata.annotations).toMatchObject({ 'installed-by': 'somebody' });
    }
    uninstall('other');
  });

  test('everything it can render is accepted by server-side apply, which refuses what the API does not know', async () => {
    const values = {
      ...LEAST_VALUES,
      redis: { bundled: { enabled: true } },
      gateway: { replicas: 2, jobs: { enabled: false }, priorityClassName: 'system-cluster-critical' },
      controller: {
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'infra', operator: 'Exists' }],
        extraEnv: [{ name: 'PILOTLIGHT_LOG_LEVEL', value: 'warn' }],
        extraVolumes: [{ name: 'more', emptyDir: {} }],
        extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
      },
      networkPolicy: { enabled: true, apiFrom: [{ podSelector: { matchLabels: { app: 'web' } } }] },
      config: { tenants: [{ name: 'web', keysSecret: { name: 'pilotlight-keys', key: 'web' } }] },
    };
    await here().apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'applied' } }]);
    for (const one of [values, { ...values, gateway: {} }]) {
      const objects = helm().objects(one, { namespace: 'applied' });
      const applied = await here().apply(objects, 'applied');
      expect(applied).toHaveLength(objects.length);
      await here().remove(objects.filter(({ kind }) => kind !== 'CustomResourceDefinition'));
    }
    const wrong = helm()
      .objects(values, { namespace: 'applied' })
      .find(({ kind }) => kind === 'NetworkPolicy')!;
    const mistyped = { ...wrong, spec: { ...(wrong.spec as object), podSelektor: {} } };
    await expect(here().apply([mistyped])).rejects.toThrow('podSelektor');
  });

  test.each(['vllm.yaml', 'kind/pool.yaml'])('the example %s is accepted by the API server', async (file) => {
    await applyCrds(here());
    await here().apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'examples' } }]);
    const objects = toObjects(readFileSync(join('examples/kubernetes', file), 'utf8'));
    const applied = await here().apply(objects, 'examples');
    expect(applied.map(({ kind }) => kind)).toContain('ScalePolicy');
  });

  test('the values of the example for kind are what the chart takes', () => {
    const values = parse(readFileSync('examples/kubernetes/kind/values.yaml', 'utf8')) as Values;
    expect(helm().lint(values)).toMatchObject({ code: 0 });
    const [role] = helm()
      .objects(values, { namespace: NAMESPACE })
      .filter(({ kind, metadata }) => kind === 'Role' && metadata.name.endsWith('-controller'));
    expect(JSON.stringify(role)).toContain('"resourceNames":["tickets"]');
    const argo = toObjects(readFileSync('examples/kubernetes/argocd.yaml', 'utf8'))[1]!;
    const { source } = argo.spec as { source: { helm: { valuesObject: Values } } };
    expect(helm().lint(source.helm.valuesObject)).toMatchObject({ code: 0 });
  });

  async function kept(name: string): Promise<KubeObject | null> {
    return here().get(POLICY.apiVersion, POLICY.kind, name, NAMESPACE);
  }
});

const ON_DELETE = 'ScaleToZero';

function policy(name: string) {
  return {
    ...POLICY,
    metadata: { name },
    spec: {
      pool: { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] },
      targets: [{ name: 'gpu', scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name } }],
    },
  };
}

function crdNames(): string[] {
  const files = readdirSync('infra/crds').filter((file) => file.endsWith('.yaml'));
  return files.flatMap((file) =>
    toObjects(readFileSync(join('infra/crds', file), 'utf8')).map(({ metadata }) => metadata.name),
  );
}

/** Without its `kubeVersion`: an API server that Go built from modules calls itself v0.0.0. */
function copyOfChart(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-chart-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  cpSync(CHART, folder, { recursive: true });
  const file = join(folder, 'Chart.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^kubeVersion:.*\n/m, ''));
  return folder;
}

/** The chart of a release whose ScalePolicy had no `onDelete` yet. */
function olderChart(): string {
  const folder = copyOfChart();
  const file = join(folder, 'templates', 'crds', 'pilotlight.dev_scalepolicies.yaml');
  const text = readFileSync(file, 'utf8');
  const older = text.replace(/\n {16}onDelete:\n(?: {17,}.*\n)*/, '\n');
  expect(older, 'onDelete was found and taken out').not.toBe(text);
  writeFileSync(file, older);
  return folder;
}

async function secretOf(cluster: Cluster): Promise<unknown> {
  const secret = (await cluster.get('v1', 'Secret', 'pilotlight-redis', NAMESPACE)) as unknown as { data: unknown };
  expect(secret.data).toMatchObject({ password: expect.any(String) as unknown, url: expect.any(String) as unknown });
  return secret.data;
}

function succeed({ code, stdout, stderr }: ReturnType<Helm['run']>): string {
  if (code !== 0) throw new Error(stderr);
  return stdout;
}
