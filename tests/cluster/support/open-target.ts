import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import { KubernetesTarget } from '../../../src/autoscaler/adapters/kubernetes-target/kubernetes-target.ts';
import { PodEndpoints } from '../../../src/autoscaler/adapters/kubernetes-target/pod-endpoints.ts';
import { PoolPods } from '../../../src/autoscaler/adapters/kubernetes-target/pool-pods.ts';
import { autoscalerMetrics } from '../../../src/autoscaler/metrics.ts';
import type { OtherScaler } from '../../../src/autoscaler/policy/kube/other-scalers.ts';
import type { Pod } from '../../../src/autoscaler/policy/kube/pod.ts';
import type { KubeEvent } from '../../../src/autoscaler/policy/kube/pod-events.ts';
import { type KubeObject, type KubeResource, soleLeadership } from '../../../src/core/kubernetes.ts';
import type { PoolSpec, ScaleTarget } from '../../../src/core/objects.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { openKubeApi } from '../../../src/platform/kubernetes/api.ts';
import { openFeed } from '../../../src/platform/kubernetes/feed.ts';
import { systemRandom } from '../../../src/platform/random.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { deploymentTarget, FakeCatalog, poolSpec } from '../../unit/autoscaler/kube/support/builders.ts';
import type { TestNamespace } from './namespace.ts';

const PODS: KubeResource = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };
const EVENTS: KubeResource = { group: '', version: 'v1', plural: 'events', kind: 'Event' };
const HPAS: KubeResource = {
  group: 'autoscaling',
  version: 'v2',
  plural: 'horizontalpodautoscalers',
  kind: 'HorizontalPodAutoscaler',
};

/** Exactly the rights that docs/kubernetes-scaling.md lists for the controller. */
function roleOf(namespace: TestNamespace, user: string): object[] {
  const readAndScale = { apiGroups: ['apps'], resourceNames: ['chat'] };
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch', 'patch', 'delete'] },
    { apiGroups: [''], resources: ['events'], verbs: ['list', 'watch'] },
    { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: ['list', 'watch'] },
    { apiGroups: ['apps'], resources: ['replicasets'], verbs: ['list'] },
    { ...readAndScale, resources: ['deployments', 'statefulsets'], verbs: ['get'] },
    { ...readAndScale, resources: ['deployments/scale', 'statefulsets/scale'], verbs: ['get', 'patch'] },
    { apiGroups: ['target.test'], resources: ['gpufarms'], verbs: ['get'] },
    { apiGroups: ['target.test'], resources: ['gpufarms/scale'], verbs: ['get', 'patch'] },
  ];
  const metadata = { name: 'target', namespace: namespace.name };
  return [
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata, rules },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'target' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  ];
}

/** A pool of the workload "chat" in that namespace. */
export function poolOf(namespace: TestNamespace, change: Partial<ScaleTarget> = {}): PoolSpec {
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'chat' };
  return poolSpec({
    key: `${namespace.name}/chat`,
    namespace: namespace.name,
    name: 'chat',
    pods: { matchLabels: { app: 'chat' }, ports: [8000] },
    targets: [deploymentTarget({ scaleTargetRef, ...change })],
  });
}

/** The target as the controller runs it, as a user that has the controller's rights and no other. */
export async function openTarget(namespace: TestNamespace, pool: PoolSpec, user = 'tester-5') {
  const { cluster } = namespace;
  await namespace.apply(roleOf(namespace, user));
  const shared = { clock: systemClock, log: silentLogger };
  const kubeconfig = cluster.kubeconfigFor(cluster.userToken(user), namespace.name);
  const api = await openKubeApi({ ...shared, kubeconfig, context: null, namespace: null });
  const follow = <T extends KubeObject>(resource: KubeResource) =>
    openFeed<T>({ ...shared, api, resource, namespaces: [namespace.name], random: systemRandom });
  const feeds = { pods: follow<Pod>(PODS), events: follow<KubeEvent>(EVENTS), hpas: follow<OtherScaler>(HPAS) };
  await Promise.all(Object.values(feeds).map((feed) => feed.whenSynced(AbortSignal.timeout(20_000))));
  const catalog = new FakeCatalog(pool);
  const metrics = autoscalerMetrics(new Registry());
  const pods = new PoolPods({ pods: feeds.pods, catalog, log: silentLogger });
  const endpoints = new PodEndpoints(pods, catalog);
  const target = new KubernetesTarget({
    ...shared,
    api,
    pods,
    catalog,
    leadership: soleLeadership,
    installation: 'tests',
    metrics,
    events: feeds.events,
    otherScalers: { HorizontalPodAutoscaler: feeds.hpas },
    probe: null,
  });
  onTestFinished(async () => {
    target.close();
    endpoints.close();
    pods.close();
    await Promise.all(Object.values(feeds).map((feed) => feed.close()));
    await api.close();
  });
  await target.settled();
  const [first] = pool.targets;
  if (first === undefined) throw new Error('the pool has no target');
  const phases = (): readonly string[] => target.replicas(pool.key).map(({ phase }) => phase);
  const state = () => target.state(pool.key, first);
  const uids = (phase?: string): readonly string[] =>
    target.replicas(pool.key).flatMap((one) => (phase === undefined || one.phase === phase ? [one.uid] : []));
  const start = (count: number): Promise<void> => target.start({ pool, target: first, count });
  return { target, endpoints, catalog, metrics, key: pool.key, phases, state, uids, start };
}
