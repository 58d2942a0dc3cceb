import type { Endpoint, EndpointDirectory } from '../../../core/endpoint.ts';
import type { CatalogSource, PoolKey, PoolSpec } from '../../../core/objects.ts';
import { targetNameOf } from '../../policy/kube/assign.ts';
import { podEndpoints } from '../../policy/kube/endpoints.ts';
import { uidOf } from '../../policy/kube/pod.ts';
import type { PoolPods, SeenPod } from './pool-pods.ts';

/** The endpoints of every pool as its pods have them. Needs no right but to watch pods. */
export class PodEndpoints implements EndpointDirectory {
  readonly #pods: PoolPods;
  readonly #catalog: CatalogSource;
  readonly #listeners = new Set<(pool: PoolKey) => void>();
  /** What was last told of each pool: most changes of a pod say nothing about its endpoints. */
  readonly #told = new Map<PoolKey, string>();
  readonly #lists = new Map<PoolKey, readonly Endpoint[]>();
  readonly #stop: () => void;

  constructor(pods: PoolPods, catalog: CatalogSource) {
    this.#pods = pods;
    this.#catalog = catalog;
    for (const pool of catalog.current().pools.keys()) this.#refresh(pool);
    this.#stop = pods.onChange((pool) => {
      if (this.#refresh(pool)) for (const listener of this.#listeners) listener(pool);
    });
  }

  list(pool: PoolKey): readonly Endpoint[] {
    return this.#lists.get(pool) ?? [];
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  /** Returns whether anything changed. */
  #refresh(key: PoolKey): boolean {
    const pool = this.#catalog.current().pools.get(key);
    const endpoints = pool === undefined ? [] : endpointsOf(pool, this.#pods.of(key));
    const now = JSON.stringify(endpoints);
    if (now === (this.#told.get(key) ?? '[]')) return false;
    if (endpoints.length === 0) {
      this.#told.delete(key);
      this.#lists.delete(key);
    } else {
      this.#told.set(key, now);
      this.#lists.set(key, endpoints);
    }
    return true;
  }
}

function endpointsOf(pool: PoolSpec, pods: readonly SeenPod[]): readonly Endpoint[] {
  return [...pods]
    .sort((a, b) => uidOf(a.pod).localeCompare(uidOf(b.pod)))
    .flatMap(({ pod, lastReadyAtEpochMs }) => podEndpoints(pod, pool, targetNameOf(pod, pool), lastReadyAtEpochMs));
}
