import type { Config } from '../../config/config.ts';
import type { KubeResource } from '../../core/kubernetes.ts';
import type { PoolSpec } from '../../core/objects.ts';
import type { AccessRule } from '../../platform/kubernetes/access.ts';
import { RESOURCES } from './resources.ts';

const FOLLOW = ['list', 'watch'] as const;
/** Kinds whose plural needs no question; of others the scale target itself says what it may not. */
const WORKLOADS: Readonly<Record<string, string>> = { Deployment: 'deployments', StatefulSet: 'statefulsets' };

/** Followed only where they are installed; of two groups for one kind the first that is. */
export const OPTIONAL_RESOURCES: readonly (readonly [KubeResource, ...KubeResource[]])[] = [
  RESOURCES.objectives,
  RESOURCES.rewrites,
];
/** The same, by the controller alone. */
export const OPTIONAL_OF_CONTROLLER: typeof OPTIONAL_RESOURCES = [[RESOURCES.scaledObjects]];

export interface RightsQuestion {
  readonly role: Config['role'];
  readonly installation: string;
  /** Of the process: where its Lease is. */
  readonly ownNamespace: string;
  /** With pools. */
  readonly namespaces: readonly string[];
  /** Of the optional resources those that the API server serves. */
  readonly served: readonly KubeResource[];
  readonly pools: readonly PoolSpec[];
}

/** Every right that a process of that role uses. The chart's Roles grant them, and nothing that is not among them. */
export function rightRules(question: RightsQuestion): readonly AccessRule[] {
  const { role, namespaces, served, pools } = question;
  const shared = [RESOURCES.pods, RESOURCES.scalePolicies, RESOURCES.objectivePolicies, RESOURCES.pools, ...served];
  const read = namespaces.flatMap((namespace) => shared.map((resource) => rule(resource, FOLLOW, namespace)));
  const both = [...read, ...REVIEWS];
  if (role === 'gateway') return both;
  const workloads = pools.flatMap(workloadRules);
  return [...both, ...namespaces.flatMap(controllerRules), ...leaseRules(question), ...workloads];
}

/** Who calls, and what he may do: asked by the admin listener of every role. */
const REVIEWS: readonly AccessRule[] = [
  { group: 'authentication.k8s.io', resource: 'tokenreviews', verbs: ['create'], namespace: null },
  { group: 'authorization.k8s.io', resource: 'subjectaccessreviews', verbs: ['create'], namespace: null },
];

function controllerRules(namespace: string): AccessRule[] {
  const { pods, events, scalePolicies, objectivePolicies, horizontalPodAutoscalers } = RESOURCES;
  const status = ({ group, plural }: KubeResource): AccessRule => {
    return { group, resource: `${plural}/status`, verbs: ['patch'], namespace };
  };
  return [
    rule(pods, ['patch', 'delete'], namespace),
    rule(events, [...FOLLOW, 'create', 'patch'], namespace),
    { group: 'apps', resource: 'replicasets', verbs: ['list'], namespace },
    rule(horizontalPodAutoscalers, FOLLOW, namespace),
    // Orders of people.
    rule(scalePolicies, ['patch'], namespace),
    status(scalePolicies),
    status(objectivePolicies),
  ];
}

function leaseRules({ ownNamespace: namespace, installation }: RightsQuestion): AccessRule[] {
  const lease = { group: 'coordination.k8s.io', resource: 'leases', namespace };
  return [
    { ...lease, verbs: ['create'] },
    { ...lease, name: `pilotlight-${installation}`, verbs: ['get', 'update'] },
  ];
}

/** A policy that only observes reads its workloads. */
function workloadRules({ namespace, scale, targets }: PoolSpec): AccessRule[] {
  return targets.flatMap(({ scaleTargetRef: ref }) => {
    const plural = ref?.apiVersion === 'apps/v1' ? WORKLOADS[ref.kind] : undefined;
    if (ref === undefined || plural === undefined) return [];
    const of = { group: 'apps', namespace, name: ref.name };
    const read = { ...of, resource: plural, verbs: ['get'] };
    return scale.mode === 'Native' ? [read, { ...of, resource: `${plural}/scale`, verbs: ['get', 'patch'] }] : [read];
  });
}

function rule({ group, plural }: KubeResource, verbs: readonly string[], namespace: string): AccessRule {
  return { group, resource: plural, verbs, namespace };
}
