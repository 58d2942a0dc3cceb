import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { orNull } from '../api.ts';
import type { ClusterAccess } from '../cluster-access.ts';
import { follow } from '../follow.ts';
import { type AddressBlock, claimAddresses } from './addresses.ts';
import type { References } from './environment.ts';
import { EventRecorder } from './events.ts';
import { CHECKOUT_IMAGES, type ImageMap } from './images.ts';
import type { Pod } from './objects.ts';
import { type NodeWorld, PodRunner } from './pod-runner.ts';

export interface KubeletOptions {
  /** Whose pods it runs; null = all namespaces. */
  readonly namespace: string | null;
  /** Added to CHECKOUT_IMAGES. */
  readonly images?: ImageMap;
  /** Nodes that it is not the kubelet of, such as KWOK's. */
  readonly leavesNode?: (name: string) => boolean;
}

/** Stands for the kubelets of all nodes of a namespace: runs each pod's command as a local process. */
export class Kubelet {
  readonly #cluster: ClusterAccess;
  readonly #world: NodeWorld;
  readonly #addresses: AddressBlock;
  readonly #images: Record<string, ImageMap[string]>;
  readonly #leavesNode: (name: string) => boolean;
  readonly #runners = new Map<string, PodRunner>();
  readonly #ending = new Set<Promise<unknown>>();
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;

  constructor(cluster: ClusterAccess, addresses: AddressBlock, options: KubeletOptions) {
    this.#cluster = cluster;
    this.#addresses = addresses;
    this.#images = { ...CHECKOUT_IMAGES, ...options.images };
    this.#leavesNode = options.leavesNode ?? (() => false);
    const events = new EventRecorder(cluster.api);
    this.#world = {
      cluster,
      images: this.#images,
      addresses,
      events,
      references: (namespace) => referencesOf(cluster, namespace),
      folder: cluster.handle.folder,
    };
    const path = options.namespace === null ? '/api/v1/pods' : `/api/v1/namespaces/${options.namespace}/pods`;
    const onObject = (pod: Pod) => this.#see(pod);
    const onGone = (pod: Pod) => this.#lose(pod);
    this.#following = follow<Pod>(cluster.api, { path, onObject, onGone }, this.#stop.signal);
  }

  /** From now on pulls of the image succeed, or fail again with null. */
  setImage(name: string, image: ImageMap[string] | null): void {
    if (image === null) Reflect.deleteProperty(this.#images, name);
    else this.#images[name] = image;
  }

  /** Where the pod's processes really listen, for pods whose status hides it. */
  addressOf(pod: { readonly metadata: { readonly uid?: string } }): string | null {
    return this.#runners.get(pod.metadata.uid ?? '')?.address ?? null;
  }

  /** SIGKILL to the processes of the pod, as when an engine crashes; they are started again as a kubelet does. */
  crash(pod: { readonly metadata: { readonly uid?: string } }): void {
    this.#runners.get(pod.metadata.uid ?? '')?.crash();
  }

  /** What a container has printed, all its starts. */
  log(namespace: string, pod: string, container: string): Promise<string> {
    const path = join(this.#cluster.handle.folder, 'logs', `${namespace}_${pod}_${container}.log`);
    return readFile(path, 'utf8').catch(() => '');
  }

  /** Kills every pod's processes without a word to the API server, as when a node loses its power. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await Promise.all([...this.#runners.values()].map((runner) => runner.abandon()));
    await Promise.all(this.#ending);
    await this.#world.events.close();
    await this.#addresses.close();
  }

  /** Never throws: what fails is the pod's matter, not that of the watch. */
  #see(pod: Pod): void {
    this.#track(
      Promise.try(() => this.#meet(pod)),
      pod,
    );
  }

  #meet(pod: Pod): Promise<void> | undefined {
    const { nodeName } = pod.spec;
    if (nodeName === undefined || this.#leavesNode(nodeName)) return undefined;
    const { uid, deletionTimestamp } = pod.metadata;
    const runner = this.#runners.get(uid);
    if (runner !== undefined) return runner.update(pod);
    if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return undefined;
    const added = new PodRunner(pod, this.#world);
    this.#runners.set(uid, added);
    const running = added.start();
    return deletionTimestamp === undefined ? running : Promise.all([running, added.update(pod)]).then(() => undefined);
  }

  #lose(pod: Pod): void {
    const runner = this.#runners.get(pod.metadata.uid);
    if (runner === undefined) return;
    this.#runners.delete(pod.metadata.uid);
    this.#track(runner.abandon(), pod);
  }

  #track(work: Promise<unknown>, { metadata }: Pod): void {
    const tracked = work
      .catch((error: unknown) => {
        // A defect of the harness or an annotation that does not exist: a test must see it.
        process.stderr.write(`kubelet stand-in, pod ${metadata.namespace}/${metadata.name}: ${String(error)}\n`);
      })
      .finally(() => this.#ending.delete(tracked));
    this.#ending.add(tracked);
  }
}

/** Starts it. Throws when this machine has no addresses for pods. */
export async function startKubelet(cluster: ClusterAccess, options: KubeletOptions): Promise<Kubelet> {
  return new Kubelet(cluster, await claimAddresses(), options);
}

function referencesOf({ api }: ClusterAccess, namespace: string): References {
  const path = `/api/v1/namespaces/${namespace}`;
  return {
    async configMap(name) {
      const map = await orNull(api.request({ method: 'GET', path: `${path}/configmaps/${name}` }));
      return map === null ? null : ((map as { data?: Record<string, string> }).data ?? {});
    },
    async secret(name) {
      const secret = await orNull(api.request({ method: 'GET', path: `${path}/secrets/${name}` }));
      if (secret === null) return null;
      const data = Object.entries((secret as { data?: Record<string, string> }).data ?? {});
      return Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]));
    },
  };
}
