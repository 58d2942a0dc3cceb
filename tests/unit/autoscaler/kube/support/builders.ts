import type { ContainerState, Pod, PodCondition } from '../../../../../src/autoscaler/policy/kube/pod.ts';
import type { Catalog, CatalogSource, PoolSpec, ScaleTarget } from '../../../../../src/core/objects.ts';

/** The fake clock's start. */
export const NOW_MS = 1_700_000_000_000;

export function at(agoMs: number): string {
  return new Date(NOW_MS - agoMs).toISOString();
}

export function deploymentTarget(change: Partial<ScaleTarget> = {}): ScaleTarget {
  return {
    name: 'gpu',
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' },
    minReplicas: 0,
    maxReplicas: 4,
    slotsPerEndpoint: 8,
    pricePerGpuHour: 0,
    gpusPerReplica: 1,
    preference: 0,
    ...change,
  };
}

export function poolSpec(change: Partial<PoolSpec> = {}): PoolSpec {
  return {
    key: 'ml/llama',
    namespace: 'ml',
    name: 'llama',
    pods: { matchLabels: { app: 'llama' }, ports: [8000] },
    onDelete: 'Keep',
    policyName: 'llama',
    models: [],
    targets: [deploymentTarget()],
    scale: {
      mode: 'Native',
      paused: false,
      keepWarmMs: 'Auto',
      keepWarmMaxMs: 900_000,
      drainTargetMs: 'Auto',
      scaleDownAfterMs: 'Auto',
      minEfficiencyPercent: 50,
      maxBootsInFlight: 8,
      coldStartPriorMs: 300_000,
      requestPriorMs: 10_000,
      bootTimeoutMs: 1_800_000,
      drainTimeoutMs: 900_000,
    },
    limits: { maxRequests: 1_000, maxBytes: 1_000_000 },
    ...change,
  };
}

/** A catalog of those pools that tests replace. */
export class FakeCatalog implements CatalogSource {
  #catalog: Catalog;
  readonly #listeners = new Set<(catalog: Catalog) => void>();

  constructor(...pools: PoolSpec[]) {
    this.#catalog = catalogOf(pools, 1);
  }

  current(): Catalog {
    return this.#catalog;
  }

  onChange(listener: (catalog: Catalog) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  replace(...pools: PoolSpec[]): void {
    this.#catalog = catalogOf(pools, this.#catalog.generation + 1);
    for (const listener of this.#listeners) listener(this.#catalog);
  }
}

function catalogOf(pools: readonly PoolSpec[], generation: number): Catalog {
  const unused = (): never => {
    throw new Error('not used by these tests');
  };
  return {
    generation,
    pools: new Map(pools.map((pool) => [pool.key, pool])),
    objectivesOf: () => [],
    objective: () => undefined,
    defaultObjective: unused,
    resolveModel: () => undefined,
    rewrite: unused,
    models: () => [],
  };
}

export type PodStage = 'unscheduled' | 'scheduled' | 'creating' | 'loading' | 'ready';

export interface PodChange {
  readonly name?: string;
  readonly uid?: string;
  readonly stage?: PodStage;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly owner?: { readonly kind: string; readonly name: string } | null;
  readonly ip?: string;
  /** How long ago it entered its stage. */
  readonly agoMs?: number;
  readonly ageMs?: number;
  readonly deleted?: boolean;
  readonly gates?: readonly string[];
  readonly conditions?: readonly PodCondition[];
  readonly state?: ContainerState;
  readonly lastState?: ContainerState;
  readonly restarts?: number;
  readonly phase?: string;
  readonly reason?: string;
  readonly message?: string;
}

const HASH = '5d4f8c7b9';

/** A pod of Deployment "llama", as the API server shows it at that stage. */
export function pod(change: PodChange = {}): Pod {
  const { stage = 'ready', agoMs = 1_000, ageMs = 60_000, name = `llama-${HASH}-a` } = change;
  const order: readonly PodStage[] = ['unscheduled', 'scheduled', 'creating', 'loading', 'ready'];
  const reached = (other: PodStage): boolean => order.indexOf(stage) >= order.indexOf(other);
  const conditions: PodCondition[] = [
    { type: 'PodScheduled', status: reached('scheduled') ? 'True' : 'False', lastTransitionTime: at(agoMs) },
    {
      type: 'PodReadyToStartContainers',
      status: reached('creating') ? 'True' : 'False',
      lastTransitionTime: at(agoMs),
    },
    { type: 'Ready', status: stage === 'ready' ? 'True' : 'False', lastTransitionTime: at(agoMs) },
  ];
  const owner = change.owner === undefined ? { kind: 'ReplicaSet', name: `llama-${HASH}` } : change.owner;
  const state = change.state ?? defaultState(stage, agoMs);
  return {
    metadata: {
      name,
      namespace: 'ml',
      uid: change.uid ?? `uid-${name}`,
      creationTimestamp: at(ageMs),
      labels: change.labels ?? { app: 'llama', 'pod-template-hash': HASH },
      ...(change.annotations ? { annotations: change.annotations } : {}),
      ...(change.deleted ? { deletionTimestamp: at(0), deletionGracePeriodSeconds: 30 } : {}),
      ...(owner
        ? { ownerReferences: [{ apiVersion: 'apps/v1', ...owner, uid: `uid-${owner.name}`, controller: true }] }
        : {}),
    },
    spec: {
      ...(reached('scheduled') ? { nodeName: 'node-1' } : {}),
      ...(change.gates ? { schedulingGates: change.gates.map((gate) => ({ name: gate })) } : {}),
      containers: [{ name: 'engine' }],
    },
    status: {
      phase: change.phase ?? (reached('loading') ? 'Running' : 'Pending'),
      ...(change.reason ? { reason: change.reason } : {}),
      ...(change.message ? { message: change.message } : {}),
      ...(reached('loading') ? { podIP: change.ip ?? '10.0.0.7' } : {}),
      conditions: [
        ...conditions.filter((own) => !change.conditions?.some(({ type }) => type === own.type)),
        ...(change.conditions ?? []),
      ],
      containerStatuses: reached('scheduled')
        ? [
            {
              name: 'engine',
              ready: stage === 'ready',
              started: reached('loading'),
              restartCount: change.restarts ?? 0,
              state,
              ...(change.lastState ? { lastState: change.lastState } : {}),
            },
          ]
        : [],
    },
  };
}

function defaultState(stage: PodStage, agoMs: number): ContainerState {
  return stage === 'loading' || stage === 'ready'
    ? { running: { startedAt: at(agoMs) } }
    : { waiting: { reason: 'ContainerCreating' } };
}
