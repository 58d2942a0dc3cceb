import { expect, test } from 'vitest';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import type { AccessRule } from '../../src/platform/kubernetes/access.ts';
import { RESOURCES } from '../../src/roles/cluster/resources.ts';
import { rightRules } from '../../src/roles/cluster/right-rules.ts';
import { deploymentTarget, poolSpec } from '../unit/autoscaler/kube/support/builders.ts';
import { LEAST_VALUES, useHelm } from './support/helm.ts';

const helm = useHelm();
const ROLES = ['gateway', 'controller'] as const;
type Role = (typeof ROLES)[number];

interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** "patch deployments/scale.apps llama in pools", one for each verb; the name and the place where there is one. */
function words(verb: string, group: string, resource: string, name: string | null, namespace: string | null): string {
  return `${verb} ${resource}.${group} ${name ?? '*'} in ${namespace ?? 'the cluster'}`;
}

/** What the chart grants that role, in the namespace of each Role, in the cluster for a ClusterRole. */
function granted(objects: readonly KubeObject[], role: Role): ReadonlySet<string> {
  const all = objects as readonly (KubeObject & { roleRef?: { name: string }; subjects?: { name: string }[] })[];
  const bound = all.filter(({ subjects }) => subjects?.some(({ name }) => name === `pilotlight-${role}`));
  const rights = bound.flatMap(({ roleRef, metadata: { namespace } }) => {
    const found = all.find(
      ({ kind, metadata }) =>
        /^(Cluster)?Role$/.test(kind ?? '') && metadata.name === roleRef?.name && metadata.namespace === namespace,
    ) as unknown as { rules: readonly PolicyRule[] };
    return found.rules.flatMap(({ apiGroups, resources, verbs, resourceNames = [null] }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          resourceNames.flatMap((name) => verbs.map((verb) => words(verb, group, resource, name, namespace ?? null))),
        ),
      ),
    );
  });
  return new Set(rights);
}

/** What the process of that role asks for: with every optional kind installed, under either group. */
function asked(role: Role): ReadonlySet<string> {
  const target = deploymentTarget({ scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' } });
  const optional = [...RESOURCES.objectives, ...RESOURCES.rewrites];
  const rules: readonly AccessRule[] = rightRules({
    role,
    installation: 'blue',
    ownNamespace: 'models',
    namespaces: ['pools'],
    served: role === 'gateway' ? optional : [...optional, RESOURCES.scaledObjects],
    pools: [poolSpec({ namespace: 'pools', targets: [target] })],
  });
  return new Set(
    rules.flatMap(({ group, resource, verbs, name, namespace }) =>
      verbs.map((verb) => words(verb, group, resource, name ?? null, namespace)),
    ),
  );
}

const render = () =>
  helm().objects({
    ...LEAST_VALUES,
    installation: 'blue',
    namespaces: [{ name: 'pools', workloads: [{ apiGroup: 'apps', resource: 'deployments', name: 'llama' }] }],
  });

test.each(ROLES)('the chart grants the %s every right that it asks for', (role) => {
  const rights = granted(render(), role);
  expect([...asked(role)].filter((one) => !rights.has(one))).toEqual([]);
});

test.each(ROLES)('the chart grants the %s nothing that it does not ask for', (role) => {
  const wanted = asked(role);
  // Who may list a kind may read one of it and watch it: nothing more is seen.
  const isSeen = (one: string): boolean =>
    /^(get|watch) /.test(one) && wanted.has(one.replace(/^(get|watch) /, 'list '));
  expect([...granted(render(), role)].filter((one) => !wanted.has(one) && !isSeen(one))).toEqual([]);
});

test('a policy that only observes needs no right to scale', () => {
  const pools = [poolSpec({ scale: { ...poolSpec().scale, mode: 'Observe' } })];
  const place = { installation: 'blue', ownNamespace: 'models', namespaces: ['ml'], served: [] };
  const rules = rightRules({ ...place, role: 'controller', pools });
  expect(rules.filter(({ resource }) => resource.startsWith('deployments'))).toMatchObject([{ verbs: ['get'] }]);
});
