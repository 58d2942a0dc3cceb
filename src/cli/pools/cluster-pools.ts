import type { KubeObject } from '../../core/kubernetes.ts';
import { parseDuration } from '../../core/units.ts';
import type { PolicyCondition, ScalePolicyStatus } from '../../core/policy-status.ts';
import { RESOURCES } from '../../roles/cluster/resources.ts';
import type { Cluster } from '../../roles/operator/cluster.ts';
import { podReplicas, type Selecting } from '../../roles/operator/pod-replicas.ts';
import { givePolicyOrder, ordersOf } from '../../roles/operator/policy-orders.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { fromCluster } from './cluster-errors.ts';
import { changeOf, type PoolDetails, type PoolSource, type PoolView, type ReplicaView } from './pool-view.ts';

const DEFAULT_BOOT_TIMEOUT_MS = 30 * 60_000;

interface PolicySpec {
  readonly poolRef?: { readonly name?: string };
  readonly pool?: Selecting;
  readonly models?: readonly { readonly name: string; readonly aliases?: readonly string[] }[];
  readonly boot?: { readonly timeout?: string };
}

export interface ClusterPoolsOptions {
  readonly cluster: Cluster;
  /** Null = all. */
  readonly namespace: string | null;
  readonly now: () => number;
}

/** Pools as the ScalePolicies of a cluster tell them, with the rights of whoever asks. */
export function clusterPools({ cluster, namespace, now }: ClusterPoolsOptions): PoolSource {
  const policies = new Map<string, KubeObject>();
  return {
    where: `${namespace === null ? 'all namespaces' : `namespace ${namespace}`} of ${cluster.server}`,
    namespace: namespace ?? cluster.namespace,
    async pools(signal) {
      const found = await fromCluster(cluster.list(RESOURCES.scalePolicies, namespace, signal));
      if (found === null) throw crdMissing(cluster);
      policies.clear();
      const views = found.map((policy) => [poolView(policy, now()), policy] as const);
      for (const [{ pool, policy: name }, policy] of views) policies.set(`${pool} ${name}`, policy);
      return views.map(([view]) => view).sort((a, b) => a.pool.localeCompare(b.pool));
    },
    async details(view, signal) {
      const policy = policies.get(`${view.pool} ${view.policy}`);
      const read = policy ? await replicasOf(cluster, policy, now(), signal) : 'the policy is gone';
      const isKnown = typeof read !== 'string';
      return {
        ...view,
        replicas: isKnown ? read : null,
        replicasUnknownWhy: isKnown ? null : read,
        components: null,
        earlier: [],
      } satisfies PoolDetails;
    },
    async order(view, command, signal) {
      const policy = policies.get(`${view.pool} ${view.policy}`);
      if (!policy) throw new CliError(EXIT.FAILED, `${view.pool} has no ScalePolicy that could keep an order`);
      const by = (await fromCluster(cluster.whoAmI(signal))) ?? 'pilotlight CLI';
      const nowEpochMs = now();
      const change = { ...changeOf(command, nowEpochMs), by };
      const given = givePolicyOrder(cluster, RESOURCES.scalePolicies, policy, change, { nowEpochMs, signal });
      return ordersOf(await fromCluster(given), nowEpochMs);
    },
    close: () => cluster.close(),
  };
}

export function crdMissing({ server }: Pick<Cluster, 'server'>): CliError {
  const message = `${server} does not know ScalePolicy; install Pilotlight there: kubectl apply -f infra/crds, or its chart`;
  return new CliError(EXIT.FAILED, message);
}

/** "namespace/name" of the pool that a ScalePolicy scales. */
export function poolOf({ metadata, spec }: KubeObject): string {
  return `${metadata.namespace ?? 'default'}/${((spec ?? {}) as PolicySpec).poolRef?.name ?? metadata.name}`;
}

function poolView(policy: KubeObject, nowEpochMs: number): PoolView {
  const status = (policy.status ?? {}) as Partial<ScalePolicyStatus>;
  const spec = (policy.spec ?? {}) as PolicySpec;
  const { lastDecision: last } = status;
  return {
    pool: poolOf(policy),
    policy: policy.metadata.name,
    models: (spec.models ?? []).flatMap(({ name, aliases = [] }) => [name, ...aliases]),
    phase: status.phase ?? null,
    ready: status.readyReplicas ?? 0,
    booting: status.bootingReplicas ?? 0,
    desired: status.desiredReplicas ?? 0,
    replicasByPhase: status.replicasByPhase ?? {},
    queued: status.queued ?? 0,
    running: status.running ?? 0,
    oldestQueuedAtEpochMs: time(status.oldestQueuedAt),
    nextReadyAtEpochMs: time(status.nextReadyAt),
    decision: last
      ? { atEpochMs: time(last.at) ?? 0, rule: last.rule, sentence: last.message, wouldChange: last.wouldChange }
      : null,
    blockedWhy: null,
    objectives: null,
    targets: status.targets ?? [],
    conditions: conditionsOf(policy, status),
    orders: ordersOf(policy, nowEpochMs),
  };
}

/** What is written of an older spec is not true of this one. */
function conditionsOf(policy: KubeObject, { conditions = [] }: Partial<ScalePolicyStatus>): readonly PolicyCondition[] {
  const generation = policy.metadata.generation ?? 0;
  return conditions.filter(({ observedGeneration }) => observedGeneration >= generation);
}

async function replicasOf(
  cluster: Cluster,
  policy: KubeObject,
  nowEpochMs: number,
  signal: AbortSignal,
): Promise<readonly ReplicaView[] | string> {
  const { namespace = 'default' } = policy.metadata;
  const spec = (policy.spec ?? {}) as PolicySpec;
  const bootTimeout = parseDuration(spec.boot?.timeout ?? '');
  try {
    const name = spec.poolRef?.name;
    const pool = name === undefined ? null : await cluster.get(RESOURCES.pools, namespace, name, signal);
    const selecting = spec.pool ?? (pool?.spec as Selecting | undefined);
    if (selecting === undefined) return `InferencePool ${namespace}/${name ?? ''} does not exist`;
    const pods = (await cluster.list(RESOURCES.pods, namespace, signal)) ?? [];
    const events = await cluster.list(RESOURCES.events, namespace, signal).catch(() => []);
    const bootTimeoutMs = bootTimeout.ok ? bootTimeout.value : DEFAULT_BOOT_TIMEOUT_MS;
    return podReplicas(pods, events ?? [], selecting, { nowEpochMs, bootTimeoutMs }).map((replica) => ({
      ...replica,
      trouble: replica.trouble && `${replica.trouble.kind}: ${replica.trouble.message}`,
    }));
  } catch (thrown) {
    signal.throwIfAborted();
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function time(text: string | undefined): number | null {
  const parsed = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(parsed) ? null : parsed;
}
