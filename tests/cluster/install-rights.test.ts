import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { until } from '../support/until.ts';
import type { HarnessApi } from './support/api.ts';
import { LEAST_VALUES, useHelm } from './support/helm.ts';
import { describeCluster, openNamespace, type TestNamespace, useNamespace } from './support/namespace.ts';

const ROLES = ['gateway', 'controller'] as const;
type Role = (typeof ROLES)[number];
/** Of the namespaces of the test: the release's, one with pools and the workload, one that is not listed. */
type Place = 'own' | 'pools' | 'foreign';

const RIGHTS_KINDS = ['ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'];

describeCluster('what the chart lets each role do, asked of the real authoriser', () => {
  const helm = useHelm();
  const own = useNamespace({ prefix: 'pilotlight' });
  let pools: TestNamespace;
  let foreign: TestNamespace | undefined;
  let rendered: KubeObject[] = [];
  const apis = new Map<Role, HarnessApi>();

  beforeAll(async () => {
    if (helm.isMissing()) return;
    const { cluster, name } = own();
    pools = await openNamespace(cluster, { prefix: 'pools' });
    foreign = await openNamespace(cluster, { prefix: 'foreign' });
    const values = {
      ...LEAST_VALUES,
      namespaces: [
        {
          name: pools.name,
          workloads: [
            { apiGroup: 'apps', resource: 'deployments', name: 'listed' },
            { apiGroup: 'leaderworkerset.x-k8s.io', resource: 'leaderworkersets', name: 'big' },
          ],
        },
      ],
    };
    rendered = helm().objects(values, { namespace: name });
    await cluster.apply(rendered.filter(({ kind }) => RIGHTS_KINDS.includes(kind ?? '')));
    for (const app of ['listed', 'other']) await pools.apply([deployment(app)]);
    await pools.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'engine' }, spec: podSpec() }]);
    for (const role of ROLES) {
      apis.set(role, cluster.apiFor(await cluster.tokenFor(`pilotlight-${role}`, name)));
    }
    await until(() => isAllowed('controller', right('pools get pods'), ''), 'the authoriser knows the new Roles');
  });

  afterAll(async () => {
    const { cluster } = own();
    await cluster.remove(rendered.filter(({ kind }) => kind?.startsWith('ClusterRole')));
    if (foreign === undefined) return;
    await pools.close();
    await foreign.close();
  });

  async function isAllowed(role: Role, { place, verb, group, resource, subresource }: Right, name: string) {
    const namespace = { own: own().name, pools: pools.name, foreign: foreign!.name, cluster: '' }[place];
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { namespace, verb, group, resource, subresource, name } },
    };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const { status } = (await apis.get(role)!.request({ method: 'POST', path, body })) as { status: Status };
    return status.allowed;
  }

  const BOTH = [
    'pools get,list,watch pods',
    'pools get,list,watch scalepolicies.pilotlight.dev',
    'pools get,list,watch objectivepolicies.pilotlight.dev',
    'pools get,list,watch inferencepools.inference.networking.k8s.io',
    'pools list,watch inferenceobjectives.llm-d.ai',
    'pools list,watch inferenceobjectives.inference.networking.x-k8s.io',
    'pools list,watch inferencemodelrewrites.llm-d.ai',
    'cluster create tokenreviews.authentication.k8s.io',
    'cluster create subjectaccessreviews.authorization.k8s.io',
  ];
  const CONTROLLER_ONLY = [
    'pools patch,delete pods',
    'pools patch scalepolicies.pilotlight.dev',
    'pools patch scalepolicies/status.pilotlight.dev',
    'pools patch objectivepolicies/status.pilotlight.dev',
    'pools list,watch replicasets.apps',
    'pools list,watch,create,patch events',
    'pools list,watch horizontalpodautoscalers.autoscaling',
    'pools list,watch scaledobjects.keda.sh',
    'pools get deployments.apps listed',
    'pools get,patch deployments/scale.apps listed',
    'pools get,patch leaderworkersets/scale.leaderworkerset.x-k8s.io big',
    'own create leases.coordination.k8s.io',
    'own get,update leases.coordination.k8s.io pilotlight-pilotlight',
  ];
  const NOBODY = [
    'own get,list,watch secrets',
    'pools get,list,watch secrets',
    'pools get secrets redis',
    'foreign get,list,watch pods',
    'foreign list scalepolicies.pilotlight.dev',
    'foreign get,patch deployments/scale.apps listed',
    'cluster list pods',
    'cluster list namespaces',
    'cluster get nodes',
    'pools create,update,deletecollection pods',
    'pools create pods/exec',
    'pools create pods/eviction',
    'pools patch,update,create,delete deployments.apps listed',
    'pools get,patch,update deployments/scale.apps other',
    'pools patch statefulsets/scale.apps listed',
    'pools create,delete scalepolicies.pilotlight.dev',
    'pools patch inferencepools.inference.networking.k8s.io',
    'own update leases.coordination.k8s.io another',
    'pools list deployments.apps',
    'own delete leases.coordination.k8s.io pilotlight-pilotlight',
    'own create serviceaccounts/token pilotlight-controller',
    'pools create roles.rbac.authorization.k8s.io',
    'cluster impersonate users',
    'cluster list,watch,patch customresourcedefinitions.apiextensions.k8s.io',
  ];
  const expected = [
    ...BOTH.map((row) => ({ row, allowed: ['gateway', 'controller'] })),
    ...CONTROLLER_ONLY.map((row) => ({ row, allowed: ['controller'] })),
    ...NOBODY.map((row) => ({ row, allowed: [] })),
  ];

  test.each(expected)('$row: $allowed', async ({ row, allowed }) => {
    for (const verb of verbsOf(row)) {
      const one = right(row, verb);
      const may = await Promise.all(ROLES.map(async (role) => ((await isAllowed(role, one, one.name)) ? [role] : [])));
      expect(may.flat(), `${verb} in ${row}`).toEqual(allowed);
    }
  });

  test('the gateway can change nothing but what it may ask: no rule of its Role has another verb', async () => {
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: pools.name },
    };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews';
    const { status } = (await apis.get('gateway')!.request({ method: 'POST', path, body })) as {
      status: { resourceRules: { verbs: string[]; resources: string[] }[] };
    };
    // Whoever is known to the API server may ask what he himself may do.
    const asked = ['tokenreviews', 'subjectaccessreviews', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews'];
    const writing = status.resourceRules.filter(({ verbs }) => verbs.some((verb) => !READS.includes(verb)));
    expect(writing.length).toBeGreaterThan(0);
    const resources = new Set(writing.flatMap((rule) => rule.resources));
    expect([...resources].filter((resource) => !asked.includes(resource)).sort()).toEqual(['selfsubjectreviews']);
  });

  const scale = (name: string) => `/apis/apps/v1/namespaces/${pools.name}/deployments/${name}/scale`;

  test('the controller scales the workload that is listed, and no other', async () => {
    const patch = (name: string) =>
      apis
        .get('controller')!
        .request({ method: 'PATCH', path: scale(name), patch: 'merge', body: { spec: { replicas: 2 } } });
    await expect(patch('listed')).resolves.toMatchObject({ spec: { replicas: 2 } });
    await expect(patch('other')).rejects.toMatchObject({ status: 403 });
    const whole = `/apis/apps/v1/namespaces/${pools.name}/deployments/listed`;
    const body = { spec: { template: { metadata: { labels: { hacked: 'yes' } } } } };
    const change = apis.get('controller')!.request({ method: 'PATCH', path: whole, patch: 'merge', body });
    await expect(change).rejects.toMatchObject({ status: 403 });
  });

  test('the gateway scales nothing and marks no pod', async () => {
    const api = apis.get('gateway')!;
    const replicas = { spec: { replicas: 0 } };
    const scaling = api.request({ method: 'PATCH', path: scale('listed'), patch: 'merge', body: replicas });
    await expect(scaling).rejects.toMatchObject({ status: 403 });
    const pod = `/api/v1/namespaces/${pools.name}/pods/engine`;
    const body = { metadata: { annotations: { 'pilotlight.dev/drain': '1' } } };
    await expect(api.request({ method: 'PATCH', path: pod, patch: 'merge', body })).rejects.toMatchObject({
      status: 403,
    });
    await expect(api.request({ method: 'GET', path: pod })).resolves.toMatchObject({ metadata: { name: 'engine' } });
    const marked = apis.get('controller')!.request({ method: 'PATCH', path: pod, patch: 'merge', body });
    await expect(marked).resolves.toMatchObject(body);
  });

  test('nobody reads a Secret, not even the one of Redis by its name', async () => {
    const { name } = own();
    for (const role of ROLES) {
      for (const path of [`/api/v1/namespaces/${name}/secrets`, `/api/v1/namespaces/${name}/secrets/redis`]) {
        await expect(apis.get(role)!.request({ method: 'GET', path }), path).rejects.toMatchObject({ status: 403 });
      }
    }
  });

  test('both may ask whose a token is', async () => {
    const { cluster, name } = own();
    const spec = { token: await cluster.tokenFor('default', name) };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec };
    for (const role of ROLES) {
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const { status } = (await apis.get(role)!.request({ method: 'POST', path, body })) as { status: unknown };
      expect(status).toMatchObject({
        authenticated: true,
        user: { username: `system:serviceaccount:${name}:default` },
      });
    }
  });
});

const READS = ['get', 'list', 'watch'];

interface Status {
  readonly allowed: boolean;
}

interface Right {
  readonly place: Place | 'cluster';
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
}

/** "pools get,patch deployments/scale.apps listed" taken apart, with one of its verbs. */
function right(row: string, verb = verbsOf(row)[0]!): Right {
  const [place, , what, name = ''] = row.split(' ') as [Right['place'], string, string, string?];
  const [, resource = '', subresource = '', group = ''] = /^(\w+)(?:\/(\w+))?(?:\.(.*))?$/.exec(what) ?? [];
  return { place, verb, group, resource, subresource, name };
}

function verbsOf(row: string): string[] {
  return row.split(' ')[1]!.split(',');
}

function podSpec() {
  const container = { name: 'engine', image: 'nobody/pulls:this' };
  return { automountServiceAccountToken: false, containers: [container] };
}

function deployment(name: string) {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec() } },
  };
}
