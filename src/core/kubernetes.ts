/**
 * Kubernetes as the parts of Pilotlight see it: objects as JSON, a live copy of each resource they follow, and one way
 * to ask the API server. src/platform/kubernetes implements all of it; nothing else speaks to an API server.
 */

/** Any object of the API, as JSON. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
  readonly spec?: unknown;
  readonly status?: unknown;
}

export interface KubeMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  /** RFC 3339, seconds. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly KubeOwner[];
  readonly managedFields?: readonly KubeManagedFields[];
}

export interface KubeOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

/** Who wrote which fields last. */
export interface KubeManagedFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly time?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
}

/** One resource of the API, such as pods or scalepolicies. */
export interface KubeResource {
  /** '' = the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

/** "/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL[/NAME[/SUBRESOURCE]]", every part escaped. */
export function kubePath(
  resource: Pick<KubeResource, 'group' | 'version' | 'plural'>,
  namespace: string | null,
  name?: string,
  subresource?: string,
): string {
  const base = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const parts = [
    ...(namespace === null ? [] : ['namespaces', namespace]),
    resource.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `${base}/${parts.map(encodeURIComponent).join('/')}`;
}

export type PatchType = 'merge' | 'json' | 'strategic' | 'apply';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body?: unknown;
  /** With PATCH. */
  readonly patch?: PatchType;
  readonly signal?: AbortSignal;
  /** Default 10 s. */
  readonly timeoutMs?: number;
}

/** One API server. Every request has a deadline. Throws a KubeApiError. */
export interface KubeApi {
  request(request: KubeRequest): Promise<unknown>;
}

/** An answer of the API server that is no success, or none at all. */
export class KubeApiError extends Error {
  /** HTTP status; 0 = no answer (unreachable, timed out, aborted). */
  readonly status: number;
  /** As in metav1.Status: "NotFound", "Conflict", "Forbidden", "Expired", …; '' when there is none. */
  readonly reason: string;
  readonly retryAfterMs: number | null;

  constructor(
    message: string,
    details: { readonly status: number; readonly reason?: string; readonly retryAfterMs?: number | null },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'KubeApiError';
    this.status = details.status;
    this.reason = details.reason ?? '';
    this.retryAfterMs = details.retryAfterMs ?? null;
  }
}

/** How far a feed can be believed. */
export interface FeedFreshness {
  /**
   * absent: the API server does not know this resource (a CRD that is not installed yet) · syncing: not listed yet ·
   * live: listed and watched · stale: was listed, but the server has not been heard since `heardAtEpochMs` or refuses.
   */
  readonly state: 'absent' | 'syncing' | 'live' | 'stale';
  /** When the server last said anything of this resource, bookmarks included; null = never. */
  readonly heardAtEpochMs: number | null;
  /** What the server said last, or why it is not reached; null when all is well. For people, names the remedy. */
  readonly why: string | null;
}

/** A live copy of the objects of one resource in the namespaces it follows. */
export interface ObjectFeed<T extends KubeObject = KubeObject> {
  readonly resource: KubeResource;
  /** As last heard; empty before the first list. Order is not defined. */
  list(): readonly T[];
  get(namespace: string, name: string): T | undefined;
  /** Called after each change of an object, and with null after a list replaced everything and when freshness changes. */
  onChange(listener: (object: T | null) => void): () => void;
  /** The worst of its namespaces. */
  freshness(): FeedFreshness;
}

/** Which process of several may act. */
export interface Leadership {
  /** False as soon as this process can no longer prove that it leads. */
  isLeader(): boolean;
  /** Grows with every change of leader; goes into every write that only a leader may make. Null while not leading. */
  term(): number | null;
  onChange(listener: (isLeader: boolean) => void): () => void;
}

/** Leads always: one process without others. */
export const soleLeadership: Leadership = {
  isLeader: () => true,
  term: () => 0,
  onChange: () => () => undefined,
};

/** Annotations and labels of ours. */
export const KUBE_MARKS = {
  /** On a pod: who drains it and since when, "TERM@TIME@INSTALLATION". Present = no new request goes there. */
  drain: 'pilotlight.dev/drain',
  /** On a pod with a deletion cost of ours: who set it, as above. */
  victim: 'pilotlight.dev/victim',
  /** On a ScalePolicy: orders of people; see core/pool-orders.ts. */
  paused: 'pilotlight.dev/paused',
  wakeUntil: 'pilotlight.dev/wake-until',
  wakeReplicas: 'pilotlight.dev/wake-replicas',
  drainUntil: 'pilotlight.dev/drain-until',
  orderedBy: 'pilotlight.dev/ordered-by',
  /** Of ReplicaSets: the lower goes first among ready pods. */
  podDeletionCost: 'controller.kubernetes.io/pod-deletion-cost',
} as const;
