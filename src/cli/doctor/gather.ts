import { parse } from 'yaml';
import type { KubeObject, KubeResource } from '../../core/kubernetes.ts';
import { KubeApiError } from '../../core/kubernetes.ts';
import { parseDuration } from '../../core/units.ts';
import { RESOURCES } from '../../roles/cluster/resources.ts';
import type { Cluster } from '../../roles/operator/cluster.ts';
import type { Selecting } from '../../roles/operator/pod-replicas.ts';
import { missingOf, operatorRules, ownMissing, rulesOf, type Scaled } from '../../roles/operator/rights.ts';
import { fromCluster } from '../pools/cluster-errors.ts';
import { readWorkload, type WorkloadObject } from '../workload/read-workload.ts';
import type {
  ClusterFacts,
  GatewayFacts,
  PolicyFacts,
  ResourceFact,
  RightsFact,
  TargetFacts,
  TargetRef,
} from './facts.ts';
import { isThere, pluralOf, served } from './discovery.ts';

const MINUTE_MS = 60_000;

export interface GatherOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** Where Pilotlight itself is installed. */
  readonly installNamespace: string;
  readonly signal: AbortSignal;
}

const resource = (group: string, version: string, plural: string, kind: string): KubeResource => ({
  group,
  version,
  plural,
  kind,
});
const DEPLOYMENTS = resource('apps', 'v1', 'deployments', 'Deployment');
const STATEFUL_SETS = resource('apps', 'v1', 'statefulsets', 'StatefulSet');
const SERVICES = resource('', 'v1', 'services', 'Service');
const CONFIG_MAPS = resource('', 'v1', 'configmaps', 'ConfigMap');
const INGRESSES = resource('networking.k8s.io', 'v1', 'ingresses', 'Ingress');
const BUDGETS = resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget');
const ROUTES = resource('gateway.networking.k8s.io', 'v1', 'httproutes', 'HTTPRoute');

/** Reads all that the checks judge. What may not be read is a fact, too. Throws a CliError when nothing answers. */
export async function gather({ cluster, namespace, installNamespace, signal }: GatherOptions): Promise<ClusterFacts> {
  const list = (what: KubeResource, where: string): Promise<readonly KubeObject[] | null> =>
    listed(cluster, what, where, signal);
  const resources = await fromCluster(resourceFacts(cluster, signal));
  const policies = await policyFacts(cluster, namespace, signal);
  // A gateway that stores jobs is a StatefulSet, one without a Deployment.
  const deployments = (await list(DEPLOYMENTS, installNamespace)) ?? [];
  const installed = [...deployments, ...((await list(STATEFUL_SETS, installNamespace)) ?? [])];
  const gateway = installed.find((deployment) => componentOf(deployment) === 'gateway');
  return {
    resources,
    policies,
    autoscalers: await list(RESOURCES.horizontalPodAutoscalers, namespace),
    scaledObjects: await list(RESOURCES.scaledObjects, namespace),
    disruptionBudgets: await list(BUDGETS, namespace),
    ingresses: await list(INGRESSES, installNamespace),
    routes: await list(ROUTES, installNamespace),
    rights: await rightsFacts(cluster, namespace, { installed, policies, signal }),
    gateway: gateway === undefined ? null : await gatewayFacts(cluster, gateway, signal),
  };
}

async function listed(
  cluster: Cluster,
  what: KubeResource,
  namespace: string,
  signal: AbortSignal,
): Promise<readonly KubeObject[] | null> {
  try {
    return await cluster.list(what, namespace, signal);
  } catch (thrown) {
    if (thrown instanceof KubeApiError && thrown.status === 403) return null;
    return fromCluster(Promise.reject(thrown as Error));
  }
}

async function resourceFacts({ api }: Cluster, signal: AbortSignal): Promise<readonly ResourceFact[]> {
  const wanted = [
    ['required', RESOURCES.scalePolicies],
    ['required', RESOURCES.objectivePolicies],
    ['optional', RESOURCES.pools],
    ['optional', ...RESOURCES.objectives],
  ] as const;
  return Promise.all(
    wanted.map(async ([need, ...candidates]): Promise<ResourceFact> => {
      const found = await served(api, candidates, signal);
      const { group, version, plural, kind } = found ?? candidates[0];
      return { name: `${plural}.${group}/${version}`, kind, need, served: found !== null };
    }),
  );
}

interface PolicySpec {
  readonly mode?: string;
  readonly poolRef?: { readonly name?: string };
  readonly pool?: Selecting;
  readonly targets?: readonly { readonly name: string; readonly scaleTargetRef?: TargetRef }[];
  readonly boot?: { readonly timeout?: string };
  readonly drain?: { readonly timeout?: string };
}

async function policyFacts(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<readonly PolicyFacts[]> {
  const policies = (await listed(cluster, RESOURCES.scalePolicies, namespace, signal)) ?? [];
  const pools = (await listed(cluster, RESOURCES.pools, namespace, signal)) ?? [];
  return Promise.all(
    policies.map(async ({ metadata, spec: given }): Promise<PolicyFacts> => {
      const spec = (given ?? {}) as PolicySpec;
      const poolRef = spec.poolRef?.name ?? null;
      const selecting =
        spec.pool ?? (pools.find((pool) => pool.metadata.name === poolRef)?.spec as Selecting | undefined);
      const refs = (spec.targets ?? []).flatMap(({ name, scaleTargetRef: ref }) => (ref ? [{ name, ref }] : []));
      return {
        policy: `${namespace}/${metadata.name}`,
        namespace,
        mode: spec.mode ?? 'Native',
        bootTimeoutMs: duration(spec.boot?.timeout, 30 * MINUTE_MS),
        drainTimeoutMs: duration(spec.drain?.timeout, 15 * MINUTE_MS),
        pool: selecting
          ? {
              matchLabels: selecting.selector?.matchLabels ?? {},
              ports: (selecting.targetPorts ?? []).flatMap(({ number }) => number ?? []),
            }
          : null,
        poolRef: spec.pool ? null : poolRef,
        targets: await Promise.all(refs.map(({ name, ref }) => targetFacts(cluster, { namespace, name, ref }, signal))),
      };
    }),
  );
}

async function targetFacts(
  cluster: Cluster,
  { namespace, name, ref }: { readonly namespace: string; readonly name: string; readonly ref: TargetRef },
  signal: AbortSignal,
): Promise<TargetFacts> {
  const unread = { name, ref, workload: null, managedFields: [], hasScale: null };
  try {
    const scaled = await scaledResource(cluster, ref, signal);
    if (scaled === null) return { ...unread, problem: `the API server does not know ${ref.kind} of ${ref.apiVersion}` };
    const object = await cluster.get(scaled, namespace, ref.name, signal);
    if (object === null) return { ...unread, problem: null };
    const path = `/apis/${scaled.group}/${scaled.version}/namespaces/${namespace}/${scaled.plural}/${ref.name}/scale`;
    return {
      name,
      ref,
      workload: readWorkload(ref.kind, object as WorkloadObject),
      managedFields: object.metadata.managedFields ?? [],
      hasScale: await isThere(cluster.api, path, signal),
      problem: null,
    };
  } catch (thrown) {
    if (thrown instanceof KubeApiError && thrown.status > 0) return { ...unread, problem: thrown.message };
    return fromCluster(Promise.reject(thrown as Error));
  }
}

async function scaledResource({ api }: Cluster, ref: TargetRef, signal: AbortSignal): Promise<KubeResource | null> {
  const [group = '', version = ''] = ref.apiVersion.includes('/') ? ref.apiVersion.split('/') : ['', ref.apiVersion];
  const plural = await pluralOf(api, group, version, ref.kind, signal);
  return plural === null ? null : { group, version, plural, kind: ref.kind };
}

function componentOf({ metadata }: KubeObject): string | null {
  const { labels = {} } = metadata;
  if (!(labels['helm.sh/chart'] ?? labels['app.kubernetes.io/name'] ?? '').startsWith('pilotlight')) return null;
  return labels['app.kubernetes.io/component'] ?? null;
}

interface Installed extends WorkloadObject {
  readonly spec?: WorkloadObject['spec'] & {
    readonly template?: {
      readonly spec?: {
        readonly serviceAccountName?: string;
        readonly volumes?: readonly { readonly configMap?: { readonly name?: string } }[];
      };
    };
  };
}

async function rightsFacts(
  { api }: Cluster,
  namespace: string,
  {
    installed,
    policies,
    signal,
  }: {
    readonly installed: readonly KubeObject[];
    readonly policies: readonly PolicyFacts[];
    readonly signal: AbortSignal;
  },
): Promise<readonly RightsFact[]> {
  const asked = async (who: string, missing: Promise<readonly string[]>): Promise<RightsFact> => {
    try {
      return { who, missing: await missing, problem: null };
    } catch (thrown) {
      if (!(thrown instanceof KubeApiError) || thrown.status === 0) throw thrown;
      return { who, missing: [], problem: `it cannot be asked: ${thrown.message}` };
    }
  };
  const targets = policies
    .flatMap((policy) => policy.targets)
    .flatMap(({ ref }): readonly Scaled[] => {
      const [group = ''] = ref.apiVersion.includes('/') ? ref.apiVersion.split('/') : [''];
      return group === 'apps' ? [{ group, plural: `${ref.kind.toLowerCase()}s`, name: ref.name }] : [];
    });
  const facts = [asked('you', ownMissing(api, operatorRules(namespace), signal))];
  for (const deployment of installed) {
    const role = componentOf(deployment);
    if (role !== 'gateway' && role !== 'controller') continue;
    const home = deployment.metadata.namespace ?? 'default';
    const name = (deployment as Installed).spec?.template?.spec?.serviceAccountName ?? 'default';
    const missing = missingOf(api, { namespace: home, name }, rulesOf(role, namespace, targets), signal);
    facts.push(asked(`ServiceAccount ${home}/${name} (${role})`, missing));
  }
  return fromCluster(Promise.all(facts));
}

async function gatewayFacts(cluster: Cluster, deployment: KubeObject, signal: AbortSignal): Promise<GatewayFacts> {
  const { namespace = 'default', name } = deployment.metadata;
  const view = readWorkload('Deployment', deployment as WorkloadObject);
  const services = (await listed(cluster, SERVICES, namespace, signal)) ?? [];
  const timeouts = await timeoutsOf(cluster, deployment as Installed, signal);
  return {
    workload: `${namespace}/${name}`,
    graceSeconds: view.graceSeconds,
    preStopSeconds: view.preStopSeconds ?? 0,
    maxHoldMs: timeouts && duration(timeouts.maxHold, 10 * MINUTE_MS),
    drainMs: timeouts && duration(timeouts.drain, MINUTE_MS / 2),
    services: services
      .filter(({ spec }) => {
        const wanted = Object.entries((spec as { selector?: Record<string, string> } | undefined)?.selector ?? {});
        return wanted.length > 0 && wanted.every(([label, value]) => view.labels[label] === value);
      })
      .map(({ metadata }) => metadata.name),
  };
}

interface Timeouts {
  readonly maxHold?: string;
  readonly drain?: string;
}

/** Of the Configuration in the ConfigMap that the gateway mounts; null = it cannot be read. */
async function timeoutsOf(
  cluster: Cluster,
  { metadata, spec }: Installed,
  signal: AbortSignal,
): Promise<Timeouts | null> {
  const names = (spec?.template?.spec?.volumes ?? []).flatMap(({ configMap }) => configMap?.name ?? []);
  for (const name of names) {
    const found = await cluster.get(CONFIG_MAPS, metadata.namespace ?? 'default', name, signal).catch(() => null);
    const text = (found as { data?: Record<string, string> } | null)?.data?.['gateway.yaml'];
    if (text === undefined) continue;
    const document = parse(text) as { spec?: { timeouts?: Timeouts } } | null;
    return document?.spec?.timeouts ?? {};
  }
  return null;
}

function duration(text: string | undefined, fallbackMs: number): number {
  const parsed = text === undefined ? null : parseDuration(text);
  return parsed?.ok ? parsed.value : fallbackMs;
}
