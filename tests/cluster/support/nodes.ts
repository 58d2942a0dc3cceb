import { kubePath } from '../../../src/core/kubernetes.ts';
import { orNull } from './api.ts';
import type { ClusterAccess } from './cluster-access.ts';

export interface NodeSpec {
  /** Unique in the control plane. */
  readonly name: string;
  /** `nvidia.com/gpu`; 0 = the node has no such resource. */
  readonly gpus?: number;
  /** Default 16. */
  readonly cpu?: number;
  /** Default "64Gi". */
  readonly memory?: string;
  /** Default 110, as a kubelet's. */
  readonly pods?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  /** Only pods of this namespace come here, if the namespace was made by openNamespace. */
  readonly namespace?: string;
}

/** Pods of a namespace with a node selector for this label go to nodes of their own, although all share one scheduler. */
export const NAMESPACE_LABEL = 'test.pilotlight.dev/namespace';
export const NODE_SELECTOR_ANNOTATION = 'scheduler.alpha.kubernetes.io/node-selector';

const NODES = { group: '', version: 'v1', plural: 'nodes' };

/** Adds a node that is Ready and has no taint but the given ones. Returns its name. */
export async function addNode({ api }: ClusterAccess, spec: NodeSpec): Promise<string> {
  const { name, namespace, gpus = 0, cpu = 16, memory = '64Gi', pods = 110, labels = {}, taints = [] } = spec;
  const path = kubePath(NODES, null, name);
  const own = namespace === undefined ? {} : { [NAMESPACE_LABEL]: namespace };
  const body = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', ...own, ...labels } },
  };
  await api.request({ method: 'POST', path: kubePath(NODES, null), body });
  const resources = { cpu: `${cpu}`, memory, pods: `${pods}`, ...(gpus > 0 ? { 'nvidia.com/gpu': `${gpus}` } : {}) };
  const nowIso = new Date().toISOString();
  const condition = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' };
  const conditions = [{ ...condition, lastHeartbeatTime: nowIso, lastTransitionTime: nowIso }];
  const status = { capacity: resources, allocatable: resources, conditions };
  await api.request({ method: 'PATCH', path: `${path}/status`, patch: 'merge', body: { status } });
  // Admission taints every new node as not ready; nobody else takes the taint away here.
  await api.request({ method: 'PATCH', path, patch: 'merge', body: { spec: { taints } } });
  return name;
}

/** Takes the node away. Its pods stay bound to it, as after a machine died. */
export async function removeNode({ api }: ClusterAccess, name: string): Promise<void> {
  await orNull(api.request({ method: 'DELETE', path: kubePath(NODES, null, name) }));
}

/** No new pod comes to the node, as after `kubectl cordon`; or again, with `false`. */
export async function cordonNode({ api }: ClusterAccess, name: string, cordoned = true): Promise<void> {
  const body = { spec: { unschedulable: cordoned } };
  await api.request({ method: 'PATCH', path: kubePath(NODES, null, name), patch: 'merge', body });
}
