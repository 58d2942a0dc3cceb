import type { Registry } from 'prom-client';
import { PoolPods } from '../../autoscaler/adapters/kubernetes-target/pool-pods.ts';
import { KubernetesPoolOrders } from '../../autoscaler/adapters/orders/kubernetes-pool-orders.ts';
import type { Pod } from '../../autoscaler/policy/kube/pod.ts';
import { KubeCatalogSource } from '../../config/objects/kube-catalog-source.ts';
import { formatProblem } from '../../config/problem.ts';
import type { PoolKey } from '../../core/objects.ts';
import { systemClock } from '../../platform/clock.ts';
import type { OpenFeed } from '../../platform/kubernetes/feed.ts';
import type { ProcessBase, ProcessOptions } from '../process-options.ts';
import { type ClusterLink, openClusterLink } from './link.ts';
import { RightsCheck } from './rights.ts';
import { RESOURCES } from './resources.ts';

/** What every role has of its cluster: the objects as a catalog, their pods, and the orders of people. */
export interface ClusterProcess {
  readonly options: ProcessOptions;
  readonly link: ClusterLink;
  readonly catalog: KubeCatalogSource;
  readonly policies: OpenFeed;
  readonly objectivePolicies: OpenFeed;
  readonly inferencePools: OpenFeed;
  readonly podFeed: OpenFeed<Pod>;
  readonly rights: RightsCheck;
  /** Annotations of a pool's policy that are ignored, one sentence each. */
  readonly orderProblems: (pool: PoolKey) => readonly string[];
  readonly pods: PoolPods;
}

/** Connects and waits for the first lists. What cannot be listed is said in the log and in the status; nothing is thrown for it. */
export async function openClusterProcess(
  base: ProcessBase,
  registry: Registry,
  signal: AbortSignal,
): Promise<ClusterProcess> {
  const { config, log, closers } = base;
  const link = await openClusterLink(base, registry);
  const policies = link.follow(RESOURCES.scalePolicies);
  const objectivePolicies = link.follow(RESOURCES.objectivePolicies);
  const inferencePools = link.follow(RESOURCES.pools);
  const feeds = {
    ScalePolicy: policies,
    ObjectivePolicy: objectivePolicies,
    InferencePool: inferencePools,
    InferenceObjective: link.follow(RESOURCES.objectives),
    InferenceModelRewrite: link.follow(RESOURCES.rewrites),
  };
  const podFeed = link.follow<Pod>(RESOURCES.pods);
  await link.synced([...Object.values(feeds), podFeed], signal);
  const catalog = new KubeCatalogSource({ feeds, settings: config });
  closers.add('catalog', () => catalog.close());
  await catalog.whenReady(signal);
  const orders = new KubernetesPoolOrders({ api: link.api, policies, catalog, clock: systemClock });
  closers.add('orders', () => orders.close());
  const pods = new PoolPods({ pods: podFeed, catalog, log });
  closers.add('pods', () => pods.close());
  const rights = new RightsCheck(link, base, catalog);
  const options: ProcessOptions = {
    ...base,
    catalogSource: catalog,
    objectProblems: () => [
      ...catalog.problems().map(formatProblem),
      ...orders.problems().map(({ pool, problem }) => `${pool}: ${problem}`),
      ...stale(podFeed),
      ...(rights.missing() ?? []).map(({ message }) => message),
    ],
    kube: link.api,
    orders,
  };
  const orderProblems = (pool: PoolKey) => orders.problemsOf(pool);
  const objects = { policies, objectivePolicies, inferencePools };
  return { options, link, catalog, ...objects, podFeed, rights, orderProblems, pods };
}

/** Objects' feeds are told by the catalog. */
function stale(feed: OpenFeed<Pod>): readonly string[] {
  const { state, why } = feed.freshness();
  return state === 'live' ? [] : [`pods: ${why ?? state}`];
}
