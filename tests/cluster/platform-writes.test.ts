import { expect, onTestFinished, test } from 'vitest';
import { KubeApiError } from '../../src/core/kubernetes.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { checkAccess } from '../../src/platform/kubernetes/access.ts';
import { type KubeConnection, openKubeApi } from '../../src/platform/kubernetes/api.ts';
import { eventRecorder, subjectOf } from '../../src/platform/kubernetes/events.ts';
import { electLeader, type LeaderElection } from '../../src/platform/kubernetes/leader.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

const parts = { clock: systemClock, random: systemRandom, log: silentLogger };

async function connect(kubeconfig: string): Promise<KubeConnection> {
  const api = await openKubeApi({ kubeconfig, context: null, namespace: null, ...parts });
  onTestFinished(() => api.close());
  return api;
}

function join(api: KubeConnection, namespace: string, name: string, identity: string): LeaderElection {
  const candidate = electLeader({ api, namespace, name, identity, ...parts });
  onTestFinished(() => candidate.release());
  return candidate;
}

describeCluster('writes to a real API server', () => {
  const namespace = useNamespace({ prefix: 'writes' });

  test('a Deployment at zero is scaled in milliseconds, and an old version is a conflict', async () => {
    const { cluster, name } = namespace();
    const api = await connect(cluster.kubeconfig);
    await namespace().apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: llama}
spec:
  replicas: 0
  selector: {matchLabels: {app: llama}}
  template:
    metadata: {labels: {app: llama}}
    spec: {containers: [{name: main, image: none}]}
`);
    const path = `/apis/apps/v1/namespaces/${name}/deployments/llama/scale`;
    const scale = async (replicas: number, resourceVersion?: string) =>
      await api.request({
        ...{ method: 'PATCH', path, patch: 'merge' },
        body: { metadata: { resourceVersion }, spec: { replicas } },
      });
    await expect(scale(1, '1')).rejects.toMatchObject({ status: 409, reason: 'Conflict' });
    const tookMs: number[] = [];
    for (let replicas = 1; replicas <= 20; replicas += 1) {
      const startMs = performance.now();
      expect(await scale(replicas % 2)).toMatchObject({ kind: 'Scale' });
      tookMs.push(performance.now() - startMs);
    }
    tookMs.sort((one, other) => one - other);
    console.log(`scale patch: median ${tookMs[10]!.toFixed(1)} ms, slowest ${tookMs[19]!.toFixed(1)} ms`);
    expect(tookMs[10]).toBeLessThan(250);
  });

  test('a Lease changes hands at its release, and terms rise', async () => {
    const { cluster, name } = namespace();
    const [one, two] = [await connect(cluster.kubeconfig), await connect(cluster.kubeconfig)];
    const first = join(one, name, 'handed-over', 'one');
    await until(() => first.isLeader(), 'the first leads');
    const second = join(two, name, 'handed-over', 'two');
    await until(() => second.why()?.includes(`held by ${first.identity}`) === true, 'the second waits');
    const term = first.term()!;
    await first.release();
    const releasedAtMs = performance.now();
    await until(() => second.isLeader(), 'the second leads');
    expect(performance.now() - releasedAtMs).toBeLessThan(8_000);
    expect(second.term()).toBe(term + 1);
    const lease = await cluster.get('coordination.k8s.io/v1', 'Lease', 'handed-over', name);
    expect(lease?.spec).toMatchObject({ holderIdentity: second.identity, leaseTransitions: term + 1 });
  });

  test('a leader that cannot reach the API server is succeeded, and never leads beside its successor', async () => {
    const { cluster, name } = namespace();
    const [one, two] = [await connect(cluster.kubeconfig), await connect(cluster.kubeconfig)];
    const first = join(one, name, 'killed', 'one');
    await until(() => first.isLeader(), 'the first leads');
    const second = join(two, name, 'killed', 'two');
    await until(() => second.why()?.includes('held by one') === true, 'the second waits');
    await one.close();
    let atOnce = 0;
    await until(
      () => {
        atOnce = Math.max(atOnce, Number(first.isLeader()) + Number(second.isLeader()));
        return second.isLeader();
      },
      'the second leads',
      40_000,
    );
    expect(atOnce).toBe(1);
    expect(first.isLeader()).toBe(false);
  }, 60_000);

  test('an Event is accepted, and its repeat counted', async () => {
    const { cluster, name } = namespace();
    const api = await connect(cluster.kubeconfig);
    const events = eventRecorder({ api, component: 'pilotlight-controller', identity: 'pod-1', ...parts });
    const [about] = await namespace().apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'subject' } }]);
    const note = { type: 'Warning', reason: 'StuckBoot', message: 'image pull back-off' } as const;
    const written = async () => {
      const found = await namespace().list('v1', 'Event', '');
      return found.filter((event) => (event as unknown as { reason: string }).reason === note.reason);
    };
    events.record(subjectOf(about!), note);
    await until(async () => (await written()).length === 1, 'the Event');
    events.record(subjectOf(about!), note);
    await events.close();
    expect(await written()).toMatchObject([
      { count: 2, type: 'Warning', involvedObject: { uid: about!.metadata.uid, namespace: name } },
    ]);
  });

  test('the self-check tells exactly what a Role does not give', async () => {
    const { cluster, name } = namespace();
    await namespace().apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: some}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
  - {apiGroups: [apps], resources: [deployments/scale], resourceNames: [llama], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: some}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: some}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: tester-8}]
`);
    const api = await connect(cluster.kubeconfigFor(cluster.userToken('tester-8'), name));
    const scale = { group: 'apps', resource: 'deployments/scale', verbs: ['get', 'patch'], namespace: name };
    const rules = [
      { group: '', resource: 'pods', verbs: ['list', 'watch', 'patch'], namespace: name },
      { ...scale, name: 'llama' },
      { ...scale, name: 'other' },
    ];
    const missing = async () => (await checkAccess(api, rules)).map(({ message }) => message);
    await until(async () => (await missing()).length === 3, 'the binding holds');
    expect(await missing()).toEqual([
      `cannot patch pods in namespace ${name}`,
      `cannot get deployments.apps/scale "other" in namespace ${name}`,
      `cannot patch deployments.apps/scale "other" in namespace ${name}`,
    ]);
    const denied = api.request({ method: 'GET', path: `/api/v1/namespaces/${name}/secrets` });
    await expect(denied).rejects.toBeInstanceOf(KubeApiError);
  });
});
