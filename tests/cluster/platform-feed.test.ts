import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KubeApiError, type KubeResource } from '../../src/core/kubernetes.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { type KubeConnection, openKubeApi } from '../../src/platform/kubernetes/api.ts';
import { type FeedOptions, type OpenFeed, openFeed } from '../../src/platform/kubernetes/feed.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';

const CONFIG_MAPS: KubeResource = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' };
const parts = { clock: systemClock, random: systemRandom, log: silentLogger };

async function connect(kubeconfig: string): Promise<KubeConnection> {
  const api = await openKubeApi({ kubeconfig, context: null, namespace: null, ...parts });
  onTestFinished(() => api.close());
  return api;
}

function follow(options: Pick<FeedOptions, 'api' | 'resource' | 'namespaces'>): OpenFeed {
  const feed = openFeed({ ...options, ...parts });
  onTestFinished(() => feed.close());
  return feed;
}

const configMap = (name: string, value: string, labels = {}) => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data: { value } },
});

const mine = (feed: OpenFeed) =>
  feed
    .list()
    .map(({ metadata }) => metadata.name)
    .filter((name) => name !== 'kube-root-ca.crt')
    .sort();

function crd(group: string) {
  return {
    ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
    metadata: { name: `things.${group}` },
    spec: {
      ...{ group, scope: 'Namespaced', names: { plural: 'things', singular: 'thing', kind: 'Thing' } },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  };
}

function mayRead(subject: { kind: string; name: string; namespace?: string; apiGroup?: string }): object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const metadata = { name: `reader-${subject.name}` };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch'] }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name };
  return [
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [subject] },
  ];
}

describeCluster('feeds of a real API server', () => {
  const namespace = useNamespace({ prefix: 'feed' });

  test('what is applied, changed and deleted is seen, in this namespace only', async () => {
    const { cluster, name } = namespace();
    const api = await connect(cluster.kubeconfig);
    await namespace().apply([configMap('before', '1')]);
    const feed = follow({ api, resource: CONFIG_MAPS, namespaces: [name] });
    await feed.whenSynced();
    expect(feed.get(name, 'before')).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1' });
    await namespace().apply([configMap('after', '1')]);
    await namespace().apply([configMap('before', '2')]);
    await until(() => mine(feed).length === 2, 'the new one');
    await until(() => JSON.stringify(feed.get(name, 'before')).includes('"value":"2"'), 'the change');
    await cluster.remove([configMap('before', '2')], name);
    await until(() => mine(feed).length === 1, 'the deletion');
    expect(new Set(feed.list().map(({ metadata }) => metadata.namespace))).toEqual(new Set([name]));
    expect(feed.freshness()).toMatchObject({ state: 'live', why: null });
  });

  test('more objects than a page are all there', async () => {
    const other = await openNamespace(namespace().cluster, { prefix: 'pages' });
    onTestFinished(() => other.close());
    const api = await connect(other.cluster.kubeconfig);
    const path = `/api/v1/namespaces/${other.name}/configmaps`;
    const create = (index: number) => api.request({ method: 'POST', path, body: configMap(`map-${index}`, '1') });
    for (let index = 0; index < 620; index += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, plus) => create(index + plus)));
    }
    const feed = follow({ api, resource: CONFIG_MAPS, namespaces: [other.name] });
    await feed.whenSynced();
    expect(mine(feed)).toHaveLength(620);
  });

  test('a CRD may arrive later, a better group takes over, and a removed one gives the place back', async () => {
    const { cluster, name } = namespace();
    const [better, worse] = [`a.${name}.test`, `b.${name}.test`];
    const resource = (group: string) => ({ group, version: 'v1', plural: 'things', kind: 'Thing' });
    const thing = (group: string, object: string) => ({
      ...{ apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: object } },
    });
    const api = await connect(cluster.kubeconfig);
    const feed = follow({ api, resource: [resource(better), resource(worse)], namespaces: [name] });
    onTestFinished(() => cluster.remove([crd(better), crd(worse)]));
    await feed.whenSynced();
    expect(feed.freshness().state).toBe('absent');
    await namespace().apply([crd(worse), thing(worse, 'old')]);
    await until(() => mine(feed).includes('old'), 'the CRD that arrives later', 60_000);
    expect(feed.resource.group).toBe(worse);
    await namespace().apply([crd(better), thing(better, 'new')]);
    await until(() => feed.resource.group === better, 'the better group', 60_000);
    expect(mine(feed)).toEqual(['new']);
    await cluster.remove([crd(better)]);
    await until(() => feed.resource.group === worse && mine(feed).includes('old'), 'the other group again', 60_000);
    expect(feed.freshness().state).toBe('live');
  }, 240_000);

  test('a token that is refused is read again from its file', async () => {
    const { cluster, name } = namespace();
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'rotating' } };
    await namespace().apply([account, ...mayRead({ kind: 'ServiceAccount', name: 'rotating', namespace: name })]);
    const old = await cluster.tokenFor('rotating', name);
    const tokenFile = join(cluster.handle.folder, `${name}-token`);
    const caFile = join(cluster.handle.folder, `${name}-ca`);
    const kubeconfig = join(cluster.handle.folder, `${name}-config`);
    await Promise.all([writeFile(tokenFile, old), writeFile(caFile, cluster.handle.ca)]);
    const config = {
      clusters: [{ name: 'c', cluster: { server: cluster.url, 'certificate-authority': caFile } }],
      users: [{ name: 'u', user: { tokenFile } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: name } }],
      'current-context': 'x',
    };
    await writeFile(kubeconfig, JSON.stringify(config));
    const api = await connect(kubeconfig);
    const read = { method: 'GET', path: `/api/v1/namespaces/${name}/configmaps` } as const;
    await until(
      () =>
        api.request(read).then(
          () => true,
          () => false,
        ),
      'the binding holds',
    );
    await cluster.remove([account], name);
    const oldAccess = cluster.apiFor(old);
    await until(
      () =>
        oldAccess.request(read).then(
          () => false,
          (error: unknown) => error instanceof KubeApiError && error.status === 401,
        ),
      'the end of the old token',
    );
    await expect(api.request(read)).rejects.toMatchObject({ status: 401 });
    await namespace().apply([account]);
    await writeFile(tokenFile, await cluster.tokenFor('rotating', name));
    await api.request(read);
  }, 60_000);

  test('without rights it says which are missing, and goes on when they are given', async () => {
    const { cluster, name } = namespace();
    const api = await connect(cluster.kubeconfigFor(cluster.userToken('tester-7'), name));
    const feed = follow({ api, resource: CONFIG_MAPS, namespaces: [name] });
    await until(() => feed.freshness().why !== null, 'the refusal');
    expect(feed.freshness().state).toBe('syncing');
    expect(feed.freshness().why).toContain(`needs a Role with get, list and watch on configmaps in namespace ${name}`);
    await namespace().apply(mayRead({ kind: 'User', name: 'tester-7', apiGroup: 'rbac.authorization.k8s.io' }));
    await until(() => feed.freshness().state === 'live', 'the objects', 60_000);
  }, 90_000);

  test.each(['gracefully', 'at once'] as const)(
    'an API server that is stopped %s costs freshness for a while, and nothing else',
    async (how) => {
      const cluster = await ownCluster({ scheduler: false });
      const own = await openNamespace(cluster);
      await own.apply([configMap('kept', '1'), configMap('deleted', '1')]);
      const feed = follow({ api: await connect(cluster.kubeconfig), resource: CONFIG_MAPS, namespaces: [own.name] });
      await feed.whenSynced();
      await cluster.stopApiServer(how);
      await until(() => feed.freshness().state === 'stale', 'staleness');
      expect(feed.freshness().why).toContain('ECONNREFUSED');
      expect(mine(feed)).toEqual(['deleted', 'kept']);
      await cluster.startApiServer();
      await cluster.remove([configMap('deleted', '1')], own.name);
      await own.apply([configMap('added', '1')]);
      await until(() => mine(feed).join() === 'added,kept', 'what happened since', 60_000);
      expect(feed.freshness()).toMatchObject({ state: 'live', why: null });
    },
    120_000,
  );
});
