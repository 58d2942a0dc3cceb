import { homedir, hostname } from 'node:os';
import type { Registry } from 'prom-client';
import type { KubeObject, KubeResource } from '../../core/kubernetes.ts';
import { PilotlightError, asError } from '../../core/errors.ts';
import { systemClock } from '../../platform/clock.ts';
import { type KubeConnection, openKubeApi } from '../../platform/kubernetes/api.ts';
import { type OpenFeed, openFeed } from '../../platform/kubernetes/feed.ts';
import { type KubernetesMetrics, kubernetesMetrics } from '../../platform/kubernetes/metrics.ts';
import { systemRandom } from '../../platform/random.ts';
import type { ProcessBase } from '../process-options.ts';

/** How long a start waits for the first lists before it goes on with what is there. */
const SYNC_TIMEOUT_MS = 30_000;

/** The connection of one process to its API server, and the way to follow resources through it. */
export interface ClusterLink {
  readonly api: KubeConnection;
  readonly metrics: KubernetesMetrics;
  /** Namespaces it works with. */
  readonly namespaces: readonly string[];
  /** Name of this process in Lease and Events. */
  readonly identity: string;
  /** Closed with the process. */
  follow<T extends KubeObject>(
    resource: KubeResource | readonly [KubeResource, ...KubeResource[]],
    options?: { readonly transform?: (object: KubeObject) => T },
  ): OpenFeed<T>;
  /** Resolves when all were listed, are known to be absent, or the time is over; says in the log what is missing. */
  synced(feeds: readonly OpenFeed[], signal: AbortSignal): Promise<void>;
}

/** Throws a PilotlightError when there are no credentials for an API server. */
export async function openClusterLink(base: ProcessBase, registry: Registry): Promise<ClusterLink> {
  const { config, log, closers } = base;
  const { kubeconfig, context, namespace, namespaces, identity } = config.kubernetes;
  const metrics = kubernetesMetrics(registry);
  const shared = { clock: systemClock, log, metrics };
  const options = { kubeconfig, context, namespace, env: process.env, homeFolder: homedir() };
  const api = await openKubeApi({ ...shared, ...options }).catch((thrown: unknown) => {
    throw new PilotlightError('config_invalid', asError(thrown).message, { param: 'kubernetes.kubeconfig' });
  });
  closers.add('API server connections', () => api.close());
  log.info({ server: api.describe, namespace: api.namespace }, 'kubernetes.connected');
  const followed = namespaces.length > 0 ? namespaces : [api.namespace];
  return {
    api,
    metrics,
    namespaces: followed,
    identity: identity ?? hostname(),
    follow(resource, { transform } = {}) {
      const feed = openFeed({
        ...{ api, resource, namespaces: followed, random: systemRandom, ...shared },
        ...(transform && { transform }),
      });
      closers.add(`feed of ${feed.resource.plural}`, () => feed.close());
      return feed;
    },
    async synced(feeds, signal) {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(SYNC_TIMEOUT_MS)]);
      await Promise.allSettled(feeds.map((feed) => feed.whenSynced(deadline)));
      signal.throwIfAborted();
      for (const feed of feeds) {
        const { state, why } = feed.freshness();
        if (state !== 'live') log.warn({ resource: feed.resource.plural, state, why }, 'kubernetes.not_live');
      }
    },
  };
}
