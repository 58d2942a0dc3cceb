import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { descendants, isAlive } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';

describeCluster('the control plane of the tests', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 2 }] });

  test('a user of the token file may do nothing until a Role is bound to him', async () => {
    const { cluster, name } = namespace();
    const api = cluster.apiFor(cluster.userToken('tester-1'));
    const read = () => api.request({ method: 'GET', path: `/api/v1/namespaces/${name}/pods` });
    await expect(read()).rejects.toMatchObject({ status: 403, reason: 'Forbidden' });
    await namespace().apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: tester-1}]
`);
    await until(
      () =>
        read().then(
          () => true,
          () => false,
        ),
      'the binding holds',
    );
  });

  test('a token of a ServiceAccount passes TokenReview under its name', async () => {
    const { cluster, name } = namespace();
    const token = await cluster.tokenFor('default', name);
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    const path = '/apis/authentication.k8s.io/v1/tokenreviews';
    const { status } = (await cluster.api.request({ method: 'POST', path, body: review })) as { status: unknown };
    expect(status).toMatchObject({ authenticated: true, user: { username: `system:serviceaccount:${name}:default` } });
  });

  test('pods of a namespace come to its own nodes only', async () => {
    const other = await openNamespace(namespace().cluster, { nodes: [{ gpus: 8 }] });
    await namespace().apply([pod('fits', 2), pod('waits', 1)]);
    await until(
      async () => (await namespace().pods()).every(({ status }) => scheduled(status) !== undefined),
      'scheduling',
    );
    const seen = (await namespace().pods()).map(({ status }) => scheduled(status));
    expect(seen.map((each) => `${each?.status} ${each?.reason ?? ''}`).sort()).toEqual([
      'False Unschedulable',
      'True ',
    ]);
    await other.close();
  });

  test('the API server comes back on its port with its data, and nothing is left after the end', async () => {
    const cluster = await ownCluster();
    const mine = await openNamespace(cluster, { nodes: [{}] });
    await cluster.stopApiServer('at once');
    await expect(mine.pods()).rejects.toMatchObject({ status: 0 });
    await cluster.startApiServer();
    expect(await cluster.get('v1', 'Namespace', mine.name)).not.toBeNull();
    const { pids, handle } = cluster;
    expect(pids).toHaveLength(4);
    await cluster.close();
    expect(await Promise.all(pids.map(isAlive))).not.toContain(true);
    expect(existsSync(handle.folder)).toBe(false);
  });

  test('a control plane ends with the process that started it, even when that is killed', async () => {
    const child = fork(fileURLToPath(new URL('./support/cluster-child.ts', import.meta.url)));
    await once(child, 'message');
    const started = await descendants(child.pid ?? 0);
    expect(started.length).toBeGreaterThanOrEqual(4);
    child.kill('SIGKILL');
    await until(async () => !(await Promise.all(started.map(isAlive))).includes(true), 'all have ended');
  });
});

function pod(name: string, gpus: number): object {
  const container = { name: 'main', image: 'none', resources: { limits: { 'nvidia.com/gpu': gpus } } };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [container] } };
}

function scheduled(status: unknown): { status: string; reason?: string } | undefined {
  const { conditions = [] } = (status ?? {}) as { conditions?: { type: string; status: string; reason?: string }[] };
  return conditions.find(({ type }) => type === 'PodScheduled');
}
