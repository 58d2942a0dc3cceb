import { Registry } from 'prom-client';
import {
  KubernetesTarget,
  type KubernetesTargetOptions,
} from '../../../../../src/autoscaler/adapters/kubernetes-target/kubernetes-target.ts';
import { PoolPods } from '../../../../../src/autoscaler/adapters/kubernetes-target/pool-pods.ts';
import { autoscalerMetrics } from '../../../../../src/autoscaler/metrics.ts';
import type { OtherScaler } from '../../../../../src/autoscaler/policy/kube/other-scalers.ts';
import type { Pod } from '../../../../../src/autoscaler/policy/kube/pod.ts';
import type { KubeEvent } from '../../../../../src/autoscaler/policy/kube/pod-events.ts';
import type { Leadership, ObjectFeed } from '../../../../../src/core/kubernetes.ts';
import type { PoolSpec } from '../../../../../src/core/objects.ts';
import { FakeClock, settleMicrotasks } from '../../../../support/fake-clock.ts';
import { silentLogger } from '../../../../support/silent-logger.ts';
import { FakeCatalog, NOW_MS, poolSpec } from './builders.ts';
import { FakeFeed, FakeKube } from './fake-kube.ts';

export const LLAMA = '/apis/apps/v1/namespaces/ml/deployments/llama';

/** A leader until a test says otherwise. */
export class FakeLeadership implements Leadership {
  leads = true;
  number = 7;
  readonly #listeners = new Set<(isLeader: boolean) => void>();

  become(leads: boolean): void {
    this.leads = leads;
    for (const listener of this.#listeners) listener(leads);
  }

  isLeader(): boolean {
    return this.leads;
  }

  term(): number | null {
    return this.leads ? this.number : null;
  }

  onChange(listener: (isLeader: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** A target over a fake API server; it has read every workload when this resolves. */
export async function openWorld(
  setUp: (kube: FakeKube) => void,
  {
    pools = [poolSpec()],
    probe = null,
  }: { pools?: readonly PoolSpec[]; probe?: KubernetesTargetOptions['probe'] } = {},
) {
  const kube = new FakeKube();
  setUp(kube);
  const clock = new FakeClock(NOW_MS);
  const catalog = new FakeCatalog(...pools);
  const leadership = new FakeLeadership();
  const metrics = autoscalerMetrics(new Registry());
  const events = new FakeFeed<KubeEvent>({ group: '', version: 'v1', plural: 'events', kind: 'Event' });
  const hpas = new FakeFeed<OtherScaler>({
    group: 'autoscaling',
    version: 'v2',
    plural: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
  });
  const pods = new PoolPods({ pods: kube.pods as ObjectFeed<Pod>, catalog, log: silentLogger });
  const target = new KubernetesTarget({
    api: kube,
    pods,
    catalog,
    clock,
    log: silentLogger,
    leadership,
    installation: 'main',
    metrics,
    events,
    otherScalers: { HorizontalPodAutoscaler: hpas },
    probe,
  });
  await target.settled();
  await settleMicrotasks();
  const patches = (): readonly string[] =>
    kube.requests.filter(({ method }) => method === 'PATCH').map(({ path }) => path.split('/').slice(-2).join('/'));
  return { kube, clock, catalog, leadership, metrics, events, hpas, pods, target, patches };
}

export function putDeployment(
  kube: FakeKube,
  replicas: number,
  change: { name?: string; status?: unknown } = {},
): void {
  const { name = 'llama', status } = change;
  kube.put(`/apis/apps/v1/namespaces/ml/deployments/${name}`, {
    metadata: {
      name,
      namespace: 'ml',
      annotations: { 'deployment.kubernetes.io/revision': '1' },
      managedFields: [
        {
          manager: 'kubectl-client-side-apply',
          operation: 'Update',
          time: '2023-11-14T10:00:00Z',
          fieldsV1: { 'f:spec': { 'f:replicas': {}, 'f:template': {} } },
        },
      ],
    },
    spec: { replicas, selector: { matchLabels: { app: 'llama' } }, template: { spec: { image: 'one' } } },
    status: status ?? { replicas, updatedReplicas: replicas },
  });
  kube.put(`/apis/apps/v1/namespaces/ml/replicasets/${name}-5d4f8c7b9`, {
    metadata: {
      name: `${name}-5d4f8c7b9`,
      namespace: 'ml',
      labels: { app: 'llama', 'pod-template-hash': '5d4f8c7b9' },
      annotations: { 'deployment.kubernetes.io/revision': '1' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid: `uid-${name}`, controller: true }],
    },
  });
}

export function putPod(kube: FakeKube, pod: Pod): void {
  kube.put(`/api/v1/namespaces/${pod.metadata.namespace ?? ''}/pods/${pod.metadata.name}`, pod);
}

export function podPath(name: string): string {
  return `/api/v1/namespaces/ml/pods/${name}`;
}
