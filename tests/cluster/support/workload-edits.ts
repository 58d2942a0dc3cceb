import type { KubeObject } from '../../../src/core/kubernetes.ts';
import type { TestNamespace } from './namespace.ts';
import { behaviourAnnotations } from './workloads.ts';

/** Paths of resources in the namespace, after "NAMESPACE/". */
const GROUPS = {
  pods: '/api/v1',
  deployments: '/apis/apps/v1',
  scalepolicies: '/apis/pilotlight.dev/v1alpha1',
  inferencepools: '/apis/inference.networking.k8s.io/v1',
  roles: '/apis/rbac.authorization.k8s.io/v1',
} as const;
type Plural = keyof typeof GROUPS;

function pathOf(namespace: TestNamespace, plural: Plural, name: string): string {
  return `${GROUPS[plural]}/namespaces/${namespace.name}/${plural}/${name}`;
}

export async function removeObject(namespace: TestNamespace, plural: Plural, name: string): Promise<void> {
  await namespace.cluster.api.request({ method: 'DELETE', path: pathOf(namespace, plural, name) });
}

/** As `kubectl annotate`; null removes one. */
export async function annotate(
  namespace: TestNamespace,
  plural: Plural,
  name: string,
  annotations: Readonly<Record<string, string | null>>,
): Promise<void> {
  const path = pathOf(namespace, plural, name);
  await namespace.cluster.api.request({ method: 'PATCH', path, patch: 'merge', body: { metadata: { annotations } } });
}

/** How that pod behaves from now on, as in README.md: names without their prefix. */
export function behave(
  namespace: TestNamespace,
  pod: KubeObject,
  behaviour: Readonly<Record<string, string | null>>,
): Promise<void> {
  return annotate(namespace, 'pods', pod.metadata.name, behaviourAnnotations(behaviour));
}
