import type { KubeObject } from '../../src/core/kubernetes.ts';
import type { Cluster } from '../../tests/cluster/support/cluster.ts';

const PATH = '/apis/apps/v1/deployments';

interface Deployment extends KubeObject {
  readonly spec: { readonly replicas: number };
  readonly status?: { readonly replicas?: number; readonly observedGeneration?: number };
}

interface Seen {
  readonly replicas: number;
  /** Its controller has carried out what is asked for, and no pod of it is left or lacks. */
  readonly isSettled: boolean;
  /** performance.now() of the last event. */
  readonly atMs: number;
}

interface Awaited {
  readonly key: string;
  readonly holds: (seen: Seen) => boolean;
  readonly resolve: (seen: Seen) => void;
}

/** Every Deployment of a control plane, as a watch of this process sees it. */
export class ScaleWatch {
  readonly #seen = new Map<string, Seen>();
  readonly #closed = new AbortController();
  #awaited: Awaited[] = [];

  static async open({ api }: Cluster): Promise<ScaleWatch> {
    const watch = new ScaleWatch();
    const list = (await api.request({ method: 'GET', path: PATH })) as {
      metadata: { resourceVersion: string };
      items: Deployment[];
    };
    for (const item of list.items) watch.#take(item);
    const query = { resourceVersion: list.metadata.resourceVersion };
    const events = api.watch(PATH, query, watch.#closed.signal);
    const follow = async (): Promise<void> => {
      for await (const { object } of events) watch.#take(object as Deployment);
    };
    follow().catch((error: unknown) => {
      if (!watch.#closed.signal.aborted) throw error;
    });
    return watch;
  }

  /** Resolves with the first event after which it holds, or at once. Rejects after `withinMs`. */
  until(namespace: string, name: string, holds: (seen: Seen) => boolean, withinMs = 30_000): Promise<Seen> {
    const key = `${namespace}/${name}`;
    const seen = this.#seen.get(key);
    if (seen && holds(seen)) return Promise.resolve(seen);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#awaited = this.#awaited.filter((each) => each !== awaited);
        reject(new Error(`${key} is still ${JSON.stringify(this.#seen.get(key))} after ${withinMs} ms`));
      }, withinMs);
      const awaited: Awaited = {
        key,
        holds,
        resolve(found) {
          clearTimeout(timer);
          resolve(found);
        },
      };
      this.#awaited.push(awaited);
    });
  }

  close(): void {
    this.#closed.abort();
  }

  #take({ metadata, spec, status = {} }: Deployment): void {
    const key = `${metadata.namespace ?? ''}/${metadata.name}`;
    const isSettled = status.observedGeneration === metadata.generation && (status.replicas ?? 0) === spec.replicas;
    const seen: Seen = { replicas: spec.replicas, isSettled, atMs: performance.now() };
    this.#seen.set(key, seen);
    const done = this.#awaited.filter((awaited) => awaited.key === key && awaited.holds(seen));
    this.#awaited = this.#awaited.filter((awaited) => !done.includes(awaited));
    for (const { resolve } of done) resolve(seen);
  }
}
