import { type KubeApi, kubePath } from '../../core/kubernetes.ts';
import { type AccessRule, checkAccess } from '../../platform/kubernetes/access.ts';
import { RESOURCES } from '../cluster/resources.ts';

const OURS = RESOURCES.scalePolicies.group;
const READ = ['get', 'list', 'watch'] as const;

export interface Scaled {
  readonly group: string;
  readonly plural: string;
  readonly name: string;
}

/** What the ServiceAccount of a role needs in a namespace with pools; the chart's Roles have the same. */
export function rulesOf(
  role: 'gateway' | 'controller',
  namespace: string,
  targets: readonly Scaled[],
): readonly AccessRule[] {
  const read: readonly AccessRule[] = [
    { group: '', resource: 'pods', verbs: READ, namespace },
    { group: OURS, resource: 'scalepolicies', verbs: READ, namespace },
    { group: OURS, resource: 'objectivepolicies', verbs: READ, namespace },
    { group: RESOURCES.pools.group, resource: 'inferencepools', verbs: READ, namespace },
  ];
  if (role === 'gateway') return read;
  return [
    ...read,
    { group: '', resource: 'pods', verbs: ['patch', 'delete'], namespace },
    { group: OURS, resource: 'scalepolicies', verbs: ['patch'], namespace },
    { group: OURS, resource: 'scalepolicies/status', verbs: ['patch'], namespace },
    { group: '', resource: 'events', verbs: ['list', 'watch', 'create'], namespace },
    { group: 'apps', resource: 'replicasets', verbs: ['list'], namespace },
    { group: 'autoscaling', resource: 'horizontalpodautoscalers', verbs: ['list', 'watch'], namespace },
    ...targets.flatMap(({ group, plural, name }): readonly AccessRule[] => [
      { group, resource: plural, verbs: ['get'], namespace, name },
      { group, resource: `${plural}/scale`, verbs: ['get', 'patch'], namespace, name },
    ]),
  ];
}

/** What somebody needs to see pools and to give orders. */
export function operatorRules(namespace: string): readonly AccessRule[] {
  return [{ group: OURS, resource: 'scalepolicies', verbs: ['get', 'list', 'patch'], namespace }];
}

/** What the caller may not do of `rules`, each "cannot VERB …". Throws a KubeApiError. */
export async function ownMissing(
  api: KubeApi,
  rules: readonly AccessRule[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  return (await checkAccess(api, rules, signal)).map(({ message }) => message);
}

/** The same of a ServiceAccount; the caller needs to create subjectaccessreviews. Throws a KubeApiError. */
export async function missingOf(
  api: KubeApi,
  account: { readonly namespace: string; readonly name: string },
  rules: readonly AccessRule[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const asAccount: KubeApi = {
    request: (request) => api.request({ ...request, path: REVIEWS, body: reviewOf(account, request.body) }),
  };
  return (await checkAccess(asAccount, rules, signal)).map(({ message }) => message);
}

const REVIEWS = kubePath({ group: 'authorization.k8s.io', version: 'v1', plural: 'subjectaccessreviews' }, null);

/** A question about oneself as one about somebody else: the same attributes, with a user. */
function reviewOf({ namespace, name }: { readonly namespace: string; readonly name: string }, self: unknown): object {
  const { spec } = self as { readonly spec: object };
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  const user = `system:serviceaccount:${namespace}:${name}`;
  return { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { ...spec, user, groups } };
}
