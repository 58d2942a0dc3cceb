import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, inject, onTestFinished } from 'vitest';
import type { KubeObject } from '../../../src/core/kubernetes.ts';
import { until } from '../../support/until.ts';
import { orNull } from './api.ts';
import { type Cluster, type ClusterOptions, startCluster } from './cluster.ts';
import { ClusterAccess } from './cluster-access.ts';
import { type Kubelet, type KubeletOptions, startKubelet } from './kubelet/kubelet.ts';
import { addNode, NAMESPACE_LABEL, NODE_SELECTOR_ANNOTATION, type NodeSpec, removeNode } from './nodes.ts';

export type NamespaceNode = Omit<NodeSpec, 'name' | 'namespace'>;

export interface NamespaceOptions {
  /** Start of its name; default "test". */
  readonly prefix?: string;
  /** Nodes that only pods of this namespace come to, named NAMESPACE-node-0 and so on. */
  readonly nodes?: readonly NamespaceNode[];
  /** Whether its pods come to its own nodes only; default true. False: to any node, for KWOK's. */
  readonly ownNodes?: boolean;
  /** Runs the pods that come to the nodes; default: one, if there are nodes. */
  readonly kubelet?: boolean | Omit<KubeletOptions, 'namespace'>;
}

/** A namespace with nodes of its own. */
export class TestNamespace {
  readonly cluster: ClusterAccess;
  readonly name: string;
  readonly #nodes: string[] = [];
  #nextNode = 0;
  #kubelet: Kubelet | null = null;

  constructor(cluster: ClusterAccess, name: string) {
    this.cluster = cluster;
    this.name = name;
  }

  get nodes(): readonly string[] {
    return this.#nodes;
  }

  async addNode(spec: NamespaceNode = {}): Promise<string> {
    const name = `${this.name}-node-${this.#nextNode}`;
    this.#nextNode += 1;
    this.#nodes.push(name);
    return addNode(this.cluster, { ...spec, name, namespace: this.name });
  }

  async removeNode(name: string): Promise<void> {
    await removeNode(this.cluster, name);
    this.#nodes.splice(this.#nodes.indexOf(name), 1);
  }

  /** Throws when it has none. */
  get kubelet(): Kubelet {
    if (this.#kubelet === null) throw new Error(`${this.name} has no kubelet`);
    return this.#kubelet;
  }

  async startKubelet(options: Omit<KubeletOptions, 'namespace'> = {}): Promise<void> {
    this.#kubelet = await startKubelet(this.cluster, { ...options, namespace: this.name });
  }

  /** What a container has printed, all its starts. */
  log(pod: string, container: string): Promise<string> {
    return this.kubelet.log(this.name, pod, container);
  }

  /** Applies YAML or objects; those that name no namespace go into this one. */
  apply(manifests: string | readonly object[]): Promise<KubeObject[]> {
    return this.cluster.apply(manifests, this.name);
  }

  get(apiVersion: string, kind: string, name: string): Promise<KubeObject | null> {
    return this.cluster.get(apiVersion, kind, name, this.name);
  }

  list(apiVersion: string, kind: string, labelSelector = ''): Promise<KubeObject[]> {
    return this.cluster.list(apiVersion, kind, this.name, labelSelector);
  }

  pods(labelSelector = ''): Promise<KubeObject[]> {
    return this.list('v1', 'Pod', labelSelector);
  }

  /** Through /scale, as `kubectl scale` does. */
  async scale(resource: 'deployments' | 'statefulsets', name: string, replicas: number): Promise<void> {
    const path = `/apis/apps/v1/namespaces/${this.name}/${resource}/${name}/scale`;
    await this.cluster.api.request({ method: 'PATCH', path, patch: 'merge', body: { spec: { replicas } } });
  }

  /** The deletion of what is in it goes on after this returns. */
  async close(): Promise<void> {
    const { api } = this.cluster;
    const path = `/api/v1/namespaces/${this.name}`;
    await orNull(api.request({ method: 'DELETE', path }));
    await this.#kubelet?.stop();
    await api.request({ method: 'DELETE', path: `${path}/pods`, query: { gracePeriodSeconds: '0' } });
    for (const node of this.#nodes) await removeNode(this.cluster, node);
  }
}

/** Makes a namespace that pods can be created in. */
export async function openNamespace(cluster: ClusterAccess, options: NamespaceOptions = {}): Promise<TestNamespace> {
  const name = `${options.prefix ?? 'test'}-${randomBytes(4).toString('hex')}`;
  const annotations = options.ownNodes === false ? {} : { [NODE_SELECTOR_ANNOTATION]: `${NAMESPACE_LABEL}=${name}` };
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, annotations } }]);
  // Pods are refused before the namespace has its ServiceAccount and the certificate that is mounted with its tokens.
  await until(
    async () => (await cluster.get('v1', 'ServiceAccount', 'default', name)) !== null,
    `${name} has a ServiceAccount`,
  );
  const namespace = new TestNamespace(cluster, name);
  const { nodes = [], kubelet = nodes.length > 0 } = options;
  if (kubelet !== false) await namespace.startKubelet(kubelet === true ? {} : kubelet);
  for (const node of nodes) await namespace.addNode(node);
  return namespace;
}

/** `describe` that is skipped where no control plane can be had. */
export const describeCluster: typeof describe.skip = describe.skipIf(inject('cluster').kind === 'missing');

/**
 * A namespace of the run's shared control plane for all tests of a file or `describe`, gone after the last. Returns how
 * to get at it inside of tests and hooks.
 */
export function useNamespace(options: NamespaceOptions = {}): () => TestNamespace {
  let namespace: TestNamespace | undefined;
  let cluster: ClusterAccess | undefined;
  beforeAll(async () => {
    cluster = sharedCluster();
    namespace = await openNamespace(cluster, options);
  });
  afterAll(async () => {
    await namespace?.close();
    await cluster?.disconnect();
  });
  return () => {
    if (namespace === undefined) throw new Error('the namespace exists only inside of tests and hooks');
    return namespace;
  };
}

/** The run's control plane. For tests that share it: leave the API server running. */
export function sharedCluster(): ClusterAccess {
  const shared = inject('cluster');
  if (shared.kind === 'missing') throw new Error(`${shared.why} Use describeCluster.`);
  return new ClusterAccess(shared.handle);
}

/** A control plane for one test, which may stop parts of it; closed when the test ends. */
export async function ownCluster(options: Omit<ClusterOptions, 'tools'> = {}): Promise<Cluster> {
  const shared = inject('cluster');
  if (shared.kind === 'missing') throw new Error(`${shared.why} Use describeCluster.`);
  const cluster = await startCluster({ ...options, tools: shared.tools });
  onTestFinished(() => cluster.close());
  return cluster;
}
