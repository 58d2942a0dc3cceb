import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { CHART, LEAST_VALUES, useHelm, type Values } from './support/helm.ts';

const helm = useHelm();

const TENANT = { name: 'web', keysSecret: { name: 'pilotlight-keys', key: 'web' } };
const WORKLOAD = { apiGroup: 'apps', resource: 'deployments', name: 'llama' };

const SEVERAL: Values = { ...LEAST_VALUES, gateway: { replicas: 3, jobs: { enabled: false } } };
const BUNDLED: Values = { ...LEAST_VALUES, redis: { bundled: { enabled: true } } };
const SENTINELS: Values = {
  ...SEVERAL,
  redis: { credentials: { existingSecret: 'login' }, tls: { existingSecret: 'certificates', clientCertificate: true } },
  config: {
    auth: { anonymous: { enabled: true } },
    redis: { sentinel: { nodes: ['s-0:26379'] }, tls: { enabled: true } },
  },
};
const CLUSTER: Values = {
  ...SENTINELS,
  config: {
    auth: { anonymous: { enabled: true } },
    redis: { cluster: { nodes: ['r-0:6379', 'r-1:6379'] }, tls: { enabled: true, serverName: 'redis.internal' } },
  },
};
const EVERYTHING: Values = {
  ...SEVERAL,
  installation: 'everything',
  namespaces: [{ name: 'models', workloads: [WORKLOAD] }, { name: 'research' }],
  networkPolicy: { enabled: true },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  config: {
    auth: { serviceAccounts: { audiences: ['people'] }, protectMetrics: true },
    tenants: [TENANT],
    limits: { storedRequests: 5e7 },
    timeouts: { maxHold: '1h30m' },
  },
};

const GOOD: readonly { name: string; values: Values }[] = [
  { name: 'the least', values: LEAST_VALUES },
  { name: 'three gateways without stored jobs', values: SEVERAL },
  { name: 'a bundled Redis', values: BUNDLED },
  { name: 'sentinels with certificates', values: SENTINELS },
  { name: 'a cluster with certificates', values: CLUSTER },
  { name: 'everything', values: EVERYTHING },
  { name: 'rights and accounts of somebody else', values: { ...LEAST_VALUES, rbac: { create: false } } },
  { name: 'a digest', values: { ...LEAST_VALUES, image: { repository: 'p', digest: `sha256:${'a'.repeat(64)}` } } },
];

test.each(GOOD)('with $name it lints, and every object has its place', ({ values }) => {
  expect(helm().lint(values)).toMatchObject({ code: 0 });
  const objects = helm().objects(values);
  const lost = objects.filter(({ kind, metadata }) => metadata.namespace === undefined && !isClusterWide(kind));
  expect(lost.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([]);
});

test.each([
  ['sentinels', SENTINELS],
  ['a cluster', CLUSTER],
])('%s with certificates: no URL, what is secret by the kubelet, for gateways and controllers', (_what, values) => {
  const pods = helm()
    .objects(values)
    .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
  expect(pods.map(({ metadata }) => metadata.labels?.['app.kubernetes.io/component']).sort()).toEqual([
    'controller',
    'gateway',
  ]);
  for (const pod of pods) {
    const spec = JSON.stringify(pod);
    expect(spec).not.toContain('PILOTLIGHT_REDIS_URL');
    for (const key of ['username', 'password', 'sentinel-username', 'sentinel-password']) {
      expect(spec).toContain(`{"name":"login","key":"${key}","optional":true}`);
    }
    expect(spec).toContain('{"name":"PILOTLIGHT_REDIS_TLS_KEY_FILE","value":"/etc/pilotlight/redis-tls/tls.key"}');
    expect(spec).toContain('"secretName":"certificates"');
  }
});

const REFUSED: readonly { name: string; values: Values; says: string | RegExp }[] = [
  {
    name: 'no image',
    values: { ...LEAST_VALUES, image: {} },
    says: 'image.repository is empty: no image of Pilotlight has been published yet.',
  },
  {
    name: 'no Redis',
    values: { ...LEAST_VALUES, redis: {} },
    says: 'redis.existingSecret.name is empty: Pilotlight keeps its queue in Redis.',
  },
  {
    name: 'two Redis',
    values: { ...LEAST_VALUES, redis: { existingSecret: { name: 'redis' }, bundled: { enabled: true } } },
    says: 'only one Redis can hold the queue: remove one of them',
  },
  {
    name: 'several gateways on one folder',
    values: { ...LEAST_VALUES, gateway: { replicas: 2 } },
    says: 'gateway.replicas is 2 while gateway.jobs.enabled is true: stored work lives in a folder that only one gateway may use. Keep it in a bucket (config.storage.kind=s3)',
  },
  {
    name: 'a grace shorter than a call may be held',
    values: { ...LEAST_VALUES, gateway: { terminationGracePeriodSeconds: 600 } },
    says: 'config.timeouts.drain take up to 640 s: held calls would be cut. Set at least 670, or leave it out.',
  },
  {
    name: 'a duration with a unit that does not exist',
    values: { ...LEAST_VALUES, config: { ...open(), timeouts: { maxHold: '1h30x' } } },
    says: 'config.timeouts.maxHold is "1h30x", which is no duration',
  },
  {
    name: 'less memory than calls may hold',
    values: { ...LEAST_VALUES, gateway: { resources: { limits: { memory: '1536Mi' } } } },
    says: 'gateway.resources.limits.memory is 1536Mi, but config.limits.heldBytes (1Gi) and config.limits.collectedBytes (512Mi) alone may fill it',
  },
  {
    name: 'nobody who could call',
    values: { ...LEAST_VALUES, config: {} },
    says: 'so nobody could call: add a tenant (its keysSecret',
  },
  {
    name: 'a namespace twice',
    values: { ...LEAST_VALUES, namespaces: [{ name: 'a' }, { name: 'a' }] },
    says: 'namespaces lists "a" twice: put all its workloads into one entry',
  },
  {
    name: 'an unknown value',
    values: { ...LEAST_VALUES, gatway: {} },
    says: "additional properties 'gatway' not allowed",
  },
  {
    name: 'an unknown setting',
    values: { ...LEAST_VALUES, config: { ...open(), timeouts: { maxHolt: '5m' } } },
    says: /at '\/config\/timeouts': additional properties 'maxHolt' not allowed/,
  },
  {
    name: 'a setting that the chart writes itself',
    values: { ...LEAST_VALUES, config: { ...open(), role: 'all' } },
    says: /at '\/config': additional properties 'role' not allowed/,
  },
  {
    name: 'a key instead of its hash',
    values: { ...LEAST_VALUES, config: { tenants: [{ name: 'web', keys: ['sk-secret'] }] } },
    says: /at '\/config\/tenants\/0\/keys\/0': .*does not match pattern/,
  },
];

test.each(REFUSED)('it refuses $name with a sentence', ({ values, says }) => {
  const { code, stdout, stderr } = helm().template(values);
  expect(code).not.toBe(0);
  expect(stdout).toBe('');
  if (typeof says === 'string') expect(stderr).toContain(says);
  else expect(stderr).toMatch(says);
});

test('it refuses a Kubernetes without the sleep of preStop', () => {
  const { code, stderr } = helm().run(['template', 'x', CHART, '--kube-version', '1.29.0', '-f', '-'], LEAST_VALUES);
  expect(code).not.toBe(0);
  expect(stderr).toContain('chart requires kubeVersion: >=1.30.0-0');
});

test('the configuration of both roles is one that the program takes', () => {
  const objects = helm().objects(EVERYTHING);
  expect(configOf(objects, 'gateway')).toMatchObject({
    role: 'gateway',
    installation: 'everything',
    kubernetes: { enabled: true, namespaces: ['models', 'research'], namespace: 'models' },
    server: { host: '0.0.0.0', port: 8080 },
    jobs: { enabled: false },
    limits: { storedRequests: 50_000_000 },
    // Of several gateways one that leaves may take as long as a call may be held.
    timeouts: { maxHoldMs: 5_400_000, drainMs: 5_400_000 },
    tenants: [{ identity: { tenant: 'web' }, keys: [`sha256:${'0'.repeat(64)}`] }],
    auth: { anonymous: null },
  });
  const controller = configOf(objects, 'controller');
  expect(controller).toMatchObject({ role: 'controller', admin: { host: '0.0.0.0' }, tenants: [] });
  expect(controller.auth).toMatchObject({ serviceAccounts: { audiences: ['people'] }, protectMetrics: true });
  expect(configOf(helm().objects(LEAST_VALUES), 'gateway')).toMatchObject({
    jobs: { enabled: true },
    timeouts: { drainMs: 30_000 },
  });
});

test('with a bucket several gateways keep stored work, as a Deployment, with credentials from a Secret', () => {
  const gateway = { replicas: 3, awsCredentials: { existingSecret: 'bucket' } };
  const storage = { kind: 's3', s3: { bucket: 'work' } };
  const objects = helm().objects({ ...LEAST_VALUES, gateway, config: { ...open(), storage } });
  expect(configOf(objects, 'gateway')).toMatchObject({ jobs: { enabled: true }, storage });
  const owner = podOwner(objects, 'gateway');
  expect(owner).toMatchObject({ kind: 'Deployment', spec: { replicas: 3 } });
  const valueFrom = { secretKeyRef: { name: 'bucket', key: 'AWS_SECRET_ACCESS_KEY' } };
  expect(JSON.stringify(owner)).toContain(JSON.stringify({ name: 'AWS_SECRET_ACCESS_KEY', valueFrom }));
  expect(JSON.stringify(podOwner(objects, 'controller'))).not.toContain('AWS_');
});

test('stored jobs have a volume of their own, in a StatefulSet; without them gateways are a Deployment', () => {
  const stored = podOwner(helm().objects(LEAST_VALUES), 'gateway');
  expect(stored).toMatchObject({
    kind: 'StatefulSet',
    spec: {
      replicas: 1,
      podManagementPolicy: 'Parallel',
      volumeClaimTemplates: [{ spec: { accessModes: ['ReadWriteOnce'] } }],
    },
  });
  const several = podOwner(helm().objects(SEVERAL), 'gateway');
  expect(several).toMatchObject({ kind: 'Deployment', spec: { replicas: 3 } });
});

test('a gateway is given longer than preStop, a held call and the drain together', () => {
  // 10 s + 10 m + 30 s, and 10 s + 1 h 30 m twice; 30 s more each.
  expect(podSpec(helm().objects(LEAST_VALUES), 'gateway')).toMatchObject({ terminationGracePeriodSeconds: 670 });
  expect(podSpec(helm().objects(EVERYTHING), 'gateway')).toMatchObject({
    terminationGracePeriodSeconds: 10_840,
  });
});

test('no pod is root, writes to its image, or has a token that it does not need', () => {
  const objects = helm().objects({ ...EVERYTHING, redis: { bundled: { enabled: true } } });
  for (const component of ['gateway', 'controller', 'redis']) {
    const spec = podSpec(objects, component);
    expect(spec, component).toMatchObject({
      automountServiceAccountToken: component !== 'redis',
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: { requests: expect.anything() as unknown, limits: { memory: expect.anything() as unknown } },
          livenessProbe: expect.anything() as unknown,
          readinessProbe: expect.anything() as unknown,
          startupProbe: expect.anything() as unknown,
        },
      ],
    });
  }
  const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount');
  expect(accounts.map((account) => [account.metadata.name, read(account, 'automountServiceAccountToken')])).toEqual([
    ['pilotlight-gateway', false],
    ['pilotlight-controller', false],
  ]);
});

test('a password of Redis is given once and stands in the Secret alone', () => {
  const password = 'not-very-secret';
  const objects = helm().objects({ ...LEAST_VALUES, redis: { bundled: { enabled: true, password } } });
  expect(objects.filter((object) => JSON.stringify(object).includes(password)).map(({ kind }) => kind)).toEqual([
    'Secret',
  ]);
});

test('a change of the settings of one role replaces its pods and leaves the others', () => {
  const checksums = (values: Values) =>
    ['gateway', 'controller'].map((component) => {
      const owner = podOwner(helm().objects(values), component);
      return read(owner, 'spec.template.metadata.annotations')['pilotlight.dev/configuration-checksum'] as string;
    });
  const [gateway, controller] = checksums(EVERYTHING);
  const more = { ...EVERYTHING, config: { ...(EVERYTHING['config'] as object), tenants: [{ ...TENANT, weight: 2 }] } };
  const [gatewayThen, controllerThen] = checksums(more);
  expect(gatewayThen).not.toBe(gateway);
  expect(controllerThen).toBe(controller);
});

test('the table of rights in the documentation is what the chart renders', () => {
  const values = { ...LEAST_VALUES, namespaces: [{ name: 'models', workloads: [WORKLOAD] }] };
  const objects = helm().objects(values);
  const rights = new Map<string, { gateway: string[]; controller: string[] }>();
  for (const { kind, metadata, ...rest } of objects) {
    if (kind !== 'Role' && kind !== 'ClusterRole') continue;
    const roles =
      kind === 'ClusterRole'
        ? (['gateway', 'controller'] as const)
        : metadata.name.endsWith('gateway')
          ? (['gateway'] as const)
          : (['controller'] as const);
    for (const { apiGroups, resources, resourceNames, verbs } of (rest as unknown as { rules: Rule[] }).rules) {
      for (const name of apiGroups.flatMap((group) => resources.map((resource) => shown(group, resource)))) {
        const row = `${name}${resourceNames === undefined ? '' : ', by name'}`;
        const known = rights.get(row) ?? { gateway: [], controller: [] };
        for (const role of roles) known[role].push(...verbs);
        rights.set(row, known);
      }
    }
  }
  const rendered = [...rights].map(([row, { gateway, controller }]) => [row, gateway.join(' '), controller.join(' ')]);
  const page = readFileSync('docs/install-kubernetes.md', 'utf8');
  const table = page.slice(page.indexOf('| Resource | Gateway |'), page.indexOf('Nobody may read Secrets'));
  const documented = table
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, 4)
        .map((cell) => cell.replaceAll('`', '').trim()),
    );
  expect(documented.sort()).toEqual(rendered.sort());
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** "deployments.apps/scale" as in `kubectl auth can-i`. */
function shown(group: string, resource: string): string {
  const [plural, subresource] = resource.split('/');
  return `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
}

function open(): Values {
  return { auth: { anonymous: { enabled: true } } };
}

function isClusterWide(kind: string | undefined): boolean {
  return ['ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition'].includes(kind ?? '');
}

/** What the program makes of the rendered ConfigMap, with a key file where the chart mounts one. */
function configOf(objects: readonly KubeObject[], component: string): Config {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-render-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'keys'));
  writeFileSync(join(folder, 'keys', 'web'), `sha256:${'0'.repeat(64)}\n`);
  const map = objects.find(({ kind }) => kind === 'ConfigMap')!;
  const text = read(map, 'data')[`${component}.yaml`] as string;
  const file = join(folder, 'pilotlight.yaml');
  writeFileSync(file, text.replaceAll('/etc/pilotlight', folder));
  const loaded = loadConfig({
    files: [file],
    environment: { PILOTLIGHT_REDIS_URL: 'redis://:p@redis:6379/0' },
    flags: [],
  });
  if (!loaded.ok) throw new Error(loaded.problems.map(({ path, message }) => `${path} ${message}`).join('\n'));
  return loaded.config;
}

function podOwner(objects: readonly KubeObject[], component: string): KubeObject {
  return objects.find(
    ({ kind, metadata }) =>
      (kind === 'Deployment' || kind === 'StatefulSet') && metadata.name === `pilotlight-${component}`,
  )!;
}

function podSpec(objects: readonly KubeObject[], component: string): Record<string, unknown> {
  return read(podOwner(objects, component), 'spec.template.spec');
}

function read(object: KubeObject, path: string): Record<string, unknown> {
  return path.split('.').reduce<unknown>((here, key) => (here as Record<string, unknown>)[key], object) as Record<
    string,
    unknown
  >;
}
