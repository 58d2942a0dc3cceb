/**
 * Pools, objectives and their policies as the rest of the program sees them: validated, defaults filled in, units
 * converted. src/config/objects turns YAML files, and objects of Kubernetes, into a Catalog.
 */

/** "<namespace>/<name>" of an InferencePool. */
export type PoolKey = string;

/** A model name that leads to a pool, also while the pool sleeps. */
export interface ModelRoute {
  readonly name: string;
  readonly aliases: readonly string[];
  /** LoRA adapter that must be loaded on the endpoint; absent = the base model. */
  readonly adapter?: string;
}

/** A model server run as local commands. Exists only in local files, never in a CRD. */
export interface ProcessTarget {
  /** Program and arguments; "{port}" and "{host}" are replaced. The first word "pilotlight" means this binary. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  /** Path answered with 200 when the server is ready, e.g. "/health". */
  readonly readinessPath: string;
  readonly readinessEveryMs: number;
}

export interface ScaleTarget {
  readonly name: string;
  readonly process?: ProcessTarget;
  /** Anything with a /scale subresource, in Kubernetes. */
  readonly scaleTargetRef?: { readonly apiVersion: string; readonly kind: string; readonly name: string };
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Requests one endpoint carries at once; 'Auto' learns it from the engine's own queue. */
  readonly slotsPerEndpoint: number | 'Auto';
  /** USD per GPU and hour; 0 = not told. Money only, never a scaling input in mode Native with one target. */
  readonly pricePerGpuHour: number;
  readonly gpusPerReplica: number;
  /** Higher is tried first. */
  readonly preference: number;
}

export type ScaleMode = 'Observe' | 'Native' | 'KEDA';

/** Everything that decides how one pool is scaled; reference: docs/autoscaling.md. */
export interface ScaleSettings {
  readonly mode: ScaleMode;
  readonly paused: boolean;
  /** Idle time after which 1→0 is allowed; 'Auto' = the learned median cold start, capped by keepWarmMaxMs. */
  readonly keepWarmMs: number | 'Auto';
  readonly keepWarmMaxMs: number;
  /** Queued interactive work should be done this long after the pods are up; 'Auto' = the learned median cold start. */
  readonly drainTargetMs: number | 'Auto';
  /** Desired must have been lower this long before N→N−1; 'Auto' = half the median cold start, at least 2 minutes. */
  readonly scaleDownAfterMs: number | 'Auto';
  /** Share of a cold boot plus keep-warm that must be useful work before `Batched` work wakes a pool. 1..100. */
  readonly minEfficiencyPercent: number;
  readonly maxBootsInFlight: number;
  /** Cold start assumed until one was measured. */
  readonly coldStartPriorMs: number;
  /** Slot-seconds one request takes until measured. */
  readonly requestPriorMs: number;
  /** A boot longer than this is stuck: the pod is replaced and the breaker counts it. */
  readonly bootTimeoutMs: number;
  /** After a drain mark, in-flight work may finish this long. */
  readonly drainTimeoutMs: number;
}

export interface PoolLimits {
  /** Requests queued or stored for the pool, over all objectives. */
  readonly maxRequests: number;
  readonly maxBytes: number;
}

/** Which pods are the pool's, and where they listen; in Kubernetes. */
export interface PodSelection {
  readonly matchLabels: Readonly<Record<string, string>>;
  /** Each port of a pod is an endpoint of its own. */
  readonly ports: readonly number[];
}

/** What becomes of a target when its policy is deleted: left as it is, brought to zero, or to `minReplicas`. */
export type OnDelete = 'Keep' | 'ScaleToZero' | 'ScaleToMin';

export interface PoolSpec {
  readonly key: PoolKey;
  readonly namespace: string;
  readonly name: string;
  /** Null for a pool from files whose targets are local processes. */
  readonly pods: PodSelection | null;
  readonly onDelete: OnDelete;
  /** The ScalePolicy it came from; null when a pool has no policy yet (it is listed but cannot wake). */
  readonly policyName: string | null;
  readonly models: readonly ModelRoute[];
  readonly targets: readonly ScaleTarget[];
  readonly scale: ScaleSettings;
  readonly limits: PoolLimits;
}

/** When the work of an objective wakes a pool at zero. `Scheduled`: at the latest safe start of its deadlines. */
export type ActivationType = 'Immediate' | 'Batched' | 'Scheduled';

export interface ObjectiveSpec {
  /** Name of the InferenceObjective; unique in its namespace. */
  readonly name: string;
  readonly namespace: string;
  readonly pool: PoolKey;
  /** Higher first, negative = sheddable. */
  readonly priority: number;
  readonly activation: ActivationType;
  /** The oldest queued request wakes the pool at this age; of `Scheduled` work only if some of it has no deadline. */
  readonly maxWaitMs: number;
  /** Queued longer than this: evicted with `queue_ttl_exceeded`. Null = never. */
  readonly queueTtlMs: number | null;
  /** The clock of `queueTtlMs` stands still while the pool has no open slot. */
  readonly queueTtlStopsWithoutCapacity: boolean;
  /** Default deadline of a stored request, from its acceptance. Null = none. */
  readonly defaultDeadlineMs: number | null;
  /** Refused with 429 once the pool's budget is used to this percent. 1..100. */
  readonly shedAtPercent: number;
  readonly mayExtendKeepWarm: boolean;
  /** Percent of served tokens that are its own while it has work. 0 = no guarantee. */
  readonly guaranteedSharePercent: number;
  /** A request that waited this long stands in the highest band. Null = never. */
  readonly agingMs: number | null;
  /** Percent of the pool's open slots that lower bands leave free, until nothing of it came for `reservedLapseMs`. 0 = none. */
  readonly reservedSlotsPercent: number;
  readonly reservedLapseMs: number;
  /** Its work is queued and gets no slot. */
  readonly paused: boolean;
  /** Stored requests and their bytes this objective may hold in its pool. */
  readonly maxStoredRequests: number;
  readonly maxStoredBytes: number;
}

/** Where a model name leads. */
export interface ModelResolution {
  readonly pool: PoolSpec;
  readonly route: ModelRoute;
  /** The name the model server knows: the adapter, or the route's own name. */
  readonly servedModel: string;
}

/** One consistent set of objects; a reload replaces it whole. */
export interface Catalog {
  /** Grows by one with each accepted change. */
  readonly generation: number;
  readonly pools: ReadonlyMap<PoolKey, PoolSpec>;
  objectivesOf(pool: PoolKey): readonly ObjectiveSpec[];
  /** The objective of that name on that pool. */
  objective(pool: PoolKey, name: string): ObjectiveSpec | undefined;
  /** The objective for calls that name none: priority 0, called "default", unless one of that name exists. */
  defaultObjective(pool: PoolKey): ObjectiveSpec;
  resolveModel(model: string): ModelResolution | undefined;
  /**
   * `resolution`, found for `model`, after the InferenceModelRewrites of its pool: always the same pool. `random`, in
   * [0, 1), chooses among several targets of a rewrite.
   */
  rewrite(resolution: ModelResolution, model: string, random: number): ModelResolution;
  /** Every model name, aliases included, in a stable order. */
  models(): readonly { readonly name: string; readonly pool: PoolKey; readonly createdAtEpochMs: number }[];
}

/** The current catalog, and word of the next. */
export interface CatalogSource {
  current(): Catalog;
  /** Calls back after each accepted change. Returns the way to stop. */
  onChange(listener: (catalog: Catalog) => void): () => void;
}
