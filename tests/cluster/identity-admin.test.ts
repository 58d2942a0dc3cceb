import { afterEach, expect, test } from 'vitest';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../src/core/pool-orders.ts';
import { createAdminApp } from '../../src/ingress/adapters/admin-app.ts';
import { kubeAdmin } from '../../src/ingress/adapters/admin-authorizers.ts';
import { TOKEN_CACHE_OPTIONS } from '../../src/ingress/adapters/answer-cache.ts';
import { tokenReviews } from '../../src/ingress/adapters/token-review.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { type HttpServer, startServer } from '../../src/platform/http/server.ts';
import { createRegistry } from '../../src/platform/metrics.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { fakeCatalog, poolSpec } from '../unit/ingress/support/fake-catalog.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

function rights(namespace: string): string {
  return `
apiVersion: v1
kind: ServiceAccount
metadata: {name: gateway}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ops}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: access-${namespace}}
rules:
  - {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
  - {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: access-${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: access-${namespace}}
subjects: [{kind: ServiceAccount, name: gateway, namespace: ${namespace}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics-${namespace}}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-${namespace}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-${namespace}}
subjects: [{kind: ServiceAccount, name: ops, namespace: ${namespace}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: on-call}
rules:
  - {apiGroups: [pilotlight.dev], resources: [scalepolicies], verbs: [get, list]}
  - {apiGroups: [pilotlight.dev], resources: [scalepolicies], resourceNames: [llama], verbs: [wake]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: on-call}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: on-call}
subjects: [{kind: ServiceAccount, name: ops, namespace: ${namespace}}]
`;
}

class Orders implements PoolOrders {
  readonly given: Partial<PoolOrder>[] = [];

  of(): PoolOrder {
    return NO_ORDER;
  }

  set(_pool: string, change: Partial<PoolOrder>): Promise<void> {
    this.given.push(change);
    return Promise.resolve();
  }

  onChange(): () => void {
    return () => undefined;
  }
}

describeCluster('the admin listener asks the API server', () => {
  const namespace = useNamespace({ prefix: 'identity-admin' });
  let server: HttpServer | undefined;
  afterEach(() => server?.close(0));

  test('a Role that allows to wake one policy allows that, and neither to drain it nor to wake another', async () => {
    const { cluster, name } = namespace();
    await namespace().apply(rights(name));
    const kube = cluster.apiFor(await cluster.tokenFor('gateway', name));
    const parts = { kube, clock: systemClock, log: silentLogger };
    const reviews = tokenReviews({ ...parts, audiences: ['pilotlight'], cache: TOKEN_CACHE_OPTIONS });
    const orders = new Orders();
    const pools = new Map(
      ['llama', 'other'].map((pool) => {
        const key = `${name}/${pool}`;
        const targets = [{ maxReplicas: 3 }] as never;
        return [key, { ...poolSpec([]), key, namespace: name, name: pool, policyName: pool, targets }];
      }),
    );
    const catalog = { ...fakeCatalog(), pools };
    const app = createAdminApp({
      readiness: { readiness: () => ({ kind: 'ready' }) },
      metrics: createRegistry({ version: '0', role: 'all' }),
      protectMetrics: true,
      status: { status: () => Promise.reject(new Error('not asked here')), decisions: () => Promise.resolve([]) },
      catalog: { current: () => catalog, onChange: () => () => undefined },
      orders,
      authorizer: kubeAdmin({ ...parts, reviews }),
      namespace: name,
      clock: systemClock,
      log: silentLogger,
    });
    server = await startServer(app, { host: '127.0.0.1', port: 0, portSetting: 'admin.port' });
    const { url } = server;
    const token = await cluster.tokenFor('ops', name, { audiences: ['pilotlight'] });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const order = (pool: string, verb: string) =>
      fetch(`${url}/pools/${name}/${pool}/${verb}`, { method: 'POST', headers, body: '{"for": "30m"}' });
    const read = (path: string) => fetch(url + path, { headers });

    await until(async () => (await order('llama', 'wake')).status === 200, 'the Role holds');
    expect(orders.given.at(-1)).toMatchObject({ wakeReplicas: 1, by: `system:serviceaccount:${name}:ops` });
    orders.given.length = 0;

    const refused = await order('llama', 'drain');
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain(
      `may not drain scalepolicies.pilotlight.dev \\"llama\\" in namespace \\"${name}\\"`,
    );
    expect((await order('other', 'wake')).status).toBe(403);
    expect(orders.given).toEqual([]);

    expect((await read(`/pools/${name}/other/decisions`)).status).toBe(200);
    expect((await read('/pools/kube-system/other/decisions')).status).toBe(403);
    expect((await read('/metrics')).status).toBe(200);
    const wrongAudience = await cluster.tokenFor('ops', name);
    const withWrong = { authorization: `Bearer ${wrongAudience}` };
    expect((await fetch(`${url}/metrics`, { headers: withWrong })).status).toBe(401);
    const stranger = await cluster.tokenFor('default', name, { audiences: ['pilotlight'] });
    expect((await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${stranger}` } })).status).toBe(403);
  });
});
