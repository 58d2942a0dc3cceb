import { KubeApiError, type KubeObject } from '../../../src/core/kubernetes.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { follow } from './follow.ts';
import type { Pod } from './kubelet/objects.ts';
import { isReady } from './workloads.ts';

interface LeaderSet extends KubeObject {
  readonly spec: {
    readonly replicas: number;
    readonly template: { metadata?: { labels?: object; annotations?: object }; spec: object };
  };
}

const LABEL = 'leaderset.test.pilotlight.dev/name';

/**
 * The controller of the kind LeaderSet (fixtures/leadersets.yaml) in one namespace: makes and deletes pods until there are
 * as many as `spec.replicas` says, the highest ordinal first to go, and tells in the status how many there are.
 */
export class LeaderSetController {
  readonly #cluster: ClusterAccess;
  readonly #namespace: string;
  readonly #sets = new Map<string, LeaderSet>();
  readonly #pods = new Map<string, Pod>();
  readonly #stop = new AbortController();
  readonly #following: Promise<unknown>;
  #work: Promise<void> = Promise.resolve();

  constructor(cluster: ClusterAccess, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
    const sets = `/apis/test.pilotlight.dev/v1/namespaces/${namespace}/leadersets`;
    const { signal } = this.#stop;
    this.#following = Promise.all([
      follow<LeaderSet>(cluster.api, { path: sets, ...keptIn(this.#sets, () => this.#again()) }, signal),
      follow<Pod>(cluster.api, { path: this.#podsPath, ...keptIn(this.#pods, () => this.#again()) }, signal),
    ]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.#work;
  }

  get #podsPath(): string {
    return `/api/v1/namespaces/${this.#namespace}/pods`;
  }

  /** One pass at a time; refusals are left to the pass that the next change brings. */
  #again(): void {
    this.#work = this.#work.then(async () => {
      for (const set of this.#sets.values()) {
        if (this.#stop.signal.aborted) return;
        await this.#reconcile(set).catch((error: unknown) => {
          if (!(error instanceof KubeApiError)) throw error;
        });
      }
    });
  }

  async #reconcile(set: LeaderSet): Promise<void> {
    const { name } = set.metadata;
    const { replicas } = set.spec;
    const mine = [...this.#pods.values()].filter((pod) => pod.metadata.labels?.[LABEL] === name);
    const ordinals = new Map(mine.map((pod) => [Number(/\d+$/.exec(pod.metadata.name)?.[0]), pod]));
    for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
      if (!ordinals.has(ordinal)) await this.#create(set, ordinal);
    }
    for (const [ordinal, pod] of ordinals) {
      if (ordinal < replicas || pod.metadata.deletionTimestamp !== undefined) continue;
      await this.#cluster.api.request({ method: 'DELETE', path: `${this.#podsPath}/${pod.metadata.name}` });
    }
    const path = `/apis/test.pilotlight.dev/v1/namespaces/${this.#namespace}/leadersets/${name}/status`;
    const status = { replicas: mine.length, readyReplicas: mine.filter(isReady).length, selector: `${LABEL}=${name}` };
    if (JSON.stringify(status) === JSON.stringify(set.status)) return;
    await this.#cluster.api.request({ method: 'PATCH', path, patch: 'merge', body: { status } });
  }

  async #create(set: LeaderSet, ordinal: number): Promise<void> {
    const { name, uid = '' } = set.metadata;
    const { metadata, spec } = set.spec.template;
    const owner = { apiVersion: 'test.pilotlight.dev/v1', kind: 'LeaderSet', name, uid, controller: true };
    const labels = { ...metadata?.labels, [LABEL]: name };
    const annotations = metadata?.annotations ?? {};
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `${name}-${ordinal}`, labels, annotations, ownerReferences: [owner] },
      spec,
    };
    await this.#cluster.api.request({ method: 'POST', path: this.#podsPath, body });
  }
}

function keptIn<T extends KubeObject>(objects: Map<string, T>, onChange: () => void) {
  return {
    onObject: (object: T) => {
      objects.set(object.metadata.uid ?? '', object);
      onChange();
    },
    onGone: (object: T) => {
      objects.delete(object.metadata.uid ?? '');
      onChange();
    },
  };
}
