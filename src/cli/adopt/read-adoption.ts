import type { KubeObject, KubeResource } from '../../core/kubernetes.ts';
import { RESOURCES } from '../../roles/cluster/resources.ts';
import type { Cluster } from '../../roles/operator/cluster.ts';
import type { Selecting } from '../../roles/operator/pod-replicas.ts';
import { checkDisruption } from '../doctor/checks/disruption.ts';
import { checkProbes } from '../doctor/checks/probes.ts';
import { checkRollout } from '../doctor/checks/rollout.ts';
import { checkShutdown } from '../doctor/checks/shutdown.ts';
import { checkWriters } from '../doctor/checks/writers.ts';
import { served } from '../doctor/discovery.ts';
import type { ClusterFacts, Finding, PolicyFacts, TargetFacts } from '../doctor/facts.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { fromCluster } from '../pools/cluster-errors.ts';
import { closest } from '../../config/did-you-mean.ts';
import { readWorkload, type WorkloadObject, type WorkloadView } from '../workload/read-workload.ts';
import type { AdoptionFacts } from './adoption.ts';

const APP_KINDS: Readonly<Record<string, KubeResource>> = {
  deployment: { group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment' },
  statefulset: { group: 'apps', version: 'v1', plural: 'statefulsets', kind: 'StatefulSet' },
};
const SHORT: Readonly<Record<string, string>> = {
  deploy: 'deployment',
  deployments: 'deployment',
  sts: 'statefulset',
  statefulsets: 'statefulset',
};

export interface AdoptionRequest {
  /** "deployment/NAME" */
  readonly from: string;
  readonly models: readonly string[] | null;
  readonly maxReplicas: number | null;
}

/** Reads the workload that somebody wants to adopt. Throws a CliError when it is not there, or has a ScalePolicy already. */
export async function readAdoption(
  cluster: Cluster,
  request: AdoptionRequest,
  signal: AbortSignal,
): Promise<AdoptionFacts> {
  const { namespace } = cluster;
  const { resource, name } = parseFrom(request.from);
  const object = await fromCluster(cluster.get(resource, namespace, name, signal));
  if (object === null) throw await notThere(cluster, resource, name, signal);
  const workload = readWorkload(resource.kind, object as WorkloadObject);
  const list = async (what: KubeResource) => (await fromCluster(cluster.list(what, namespace, signal))) ?? [];
  const policies = await list(RESOURCES.scalePolicies);
  const owner = policies.find((policy) => targetsOf(policy).includes(`${resource.kind}/${name}`));
  if (owner) {
    const message = `ScalePolicy ${namespace}/${owner.metadata.name} has ${resource.kind} ${name} already; look at it: pilotlight explain ${owner.metadata.name} -n ${namespace}`;
    throw new CliError(EXIT.FAILED, message);
  }
  const autoscalers = await list(RESOURCES.horizontalPodAutoscalers);
  const scaledObjects = await list(RESOURCES.scaledObjects);
  const pools = await list(RESOURCES.pools);
  const inferencePool = pools.find(({ spec }) => selects(spec as Selecting, workload))?.metadata.name ?? null;
  const objectiveKind = await fromCluster(served(cluster.api, RESOURCES.objectives, signal));
  const objectives = objectiveKind === null ? [] : await list(objectiveKind);
  const budgets = await list({
    group: 'policy',
    version: 'v1',
    plural: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
  });
  return {
    workload,
    apiVersion: 'apps/v1',
    models: request.models,
    maxReplicas: request.maxReplicas,
    inferencePool,
    objectiveVersion: objectiveKind === null ? null : `${objectiveKind.group}/${objectiveKind.version}`,
    nightly: freeName(objectives, inferencePool ?? name, name),
    scaledTo: scaledTo([...autoscalers, ...scaledObjects], resource.kind, name),
    findings: findingsOf(workload, { object, autoscalers, scaledObjects, budgets }),
  };
}

function parseFrom(from: string): { readonly resource: KubeResource; readonly name: string } {
  const [kind = '', name = '', ...more] = from.split('/');
  const resource = APP_KINDS[SHORT[kind.toLowerCase()] ?? kind.toLowerCase()];
  if (resource && name !== '' && more.length === 0) return { resource, name };
  throw new CliError(EXIT.USAGE, `--from: "${from}" is not "deployment/NAME" or "statefulset/NAME"`);
}

async function notThere(
  cluster: Cluster,
  resource: KubeResource,
  name: string,
  signal: AbortSignal,
): Promise<CliError> {
  const others = (await fromCluster(cluster.list(resource, cluster.namespace, signal))) ?? [];
  const names = others.map(({ metadata }) => metadata.name);
  const near = closest(name, names);
  const guess = near === undefined ? '' : `; did you mean "${near}"?`;
  const there =
    names.length === 0 ? `; there is no ${resource.kind} in it` : `; it has ${names.slice(0, 20).join(', ')}`;
  return new CliError(EXIT.FAILED, `${resource.kind} ${cluster.namespace}/${name} does not exist${there}${guess}`);
}

function targetsOf({ spec }: KubeObject): readonly string[] {
  const { targets = [] } = (spec ?? {}) as {
    readonly targets?: readonly { readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string } }[];
  };
  return targets.flatMap(({ scaleTargetRef: ref }) => (ref ? [`${ref.kind}/${ref.name}`] : []));
}

function selects(selecting: Selecting, { labels }: WorkloadView): boolean {
  const wanted = Object.entries(selecting.selector?.matchLabels ?? {});
  return wanted.length > 0 && wanted.every(([label, value]) => labels[label] === value);
}

/** An objective is of one pool: where "nightly" is another one's, this one gets a name of its own. */
function freeName(objectives: readonly KubeObject[], pool: string, name: string): string {
  const taken = objectives.find(({ metadata }) => metadata.name === 'nightly');
  const poolRef = (taken?.spec as { readonly poolRef?: { readonly name?: string } } | undefined)?.poolRef?.name;
  return taken === undefined || poolRef === pool ? 'nightly' : `${name}-nightly`;
}

interface ScalerSpec {
  readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string };
  readonly maxReplicas?: number;
  readonly maxReplicaCount?: number;
}

function scaledTo(scalers: readonly KubeObject[], kind: string, name: string): number | null {
  const counts = scalers.flatMap(({ spec }) => {
    const { scaleTargetRef: ref, maxReplicas, maxReplicaCount } = (spec ?? {}) as ScalerSpec;
    const isOwn = ref?.name === name && (ref.kind ?? 'Deployment') === kind;
    return isOwn ? [maxReplicas ?? maxReplicaCount ?? 0] : [];
  });
  return counts.length === 0 ? null : Math.max(...counts);
}

interface Around {
  readonly object: KubeObject;
  readonly autoscalers: readonly KubeObject[];
  readonly scaledObjects: readonly KubeObject[];
  readonly budgets: readonly KubeObject[];
}

/** What `doctor` would say of the policy that is about to be written. */
function findingsOf(
  workload: WorkloadView,
  { object, autoscalers, scaledObjects, budgets }: Around,
): readonly Finding[] {
  const { kind, name, namespace, startupBudgetSeconds, shutdownTimeoutSeconds } = workload;
  const target: TargetFacts = {
    name,
    ref: { apiVersion: 'apps/v1', kind, name },
    workload,
    managedFields: object.metadata.managedFields ?? [],
    hasScale: true,
    problem: null,
  };
  const policy: PolicyFacts = {
    policy: `${namespace}/${name}`,
    namespace,
    mode: 'Observe',
    bootTimeoutMs: (startupBudgetSeconds ?? 1_800) * 1_000,
    drainTimeoutMs: (shutdownTimeoutSeconds ?? 900) * 1_000,
    pool: null,
    poolRef: null,
    targets: [target],
  };
  const facts: Pick<ClusterFacts, 'autoscalers' | 'scaledObjects' | 'policies'> = {
    autoscalers,
    scaledObjects,
    policies: [],
  };
  return [
    ...checkWriters(facts, policy, target),
    ...checkProbes(policy, workload),
    ...checkShutdown(policy, workload),
    ...checkRollout(policy, workload),
    ...checkDisruption(workload, budgets),
  ];
}
