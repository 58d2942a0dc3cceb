import {
  type FeedFreshness,
  type KubeApi,
  KubeApiError,
  type KubeObject,
  type KubeRequest,
  type KubeResource,
  type ObjectFeed,
} from '../../../../../src/core/kubernetes.ts';

type Json = Record<string, unknown>;
interface Stored extends KubeObject {
  readonly spec?: Json;
}

export const PODS: KubeResource = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };

/** A feed that shows what the cluster stores, at once or, while `held`, when released. */
export class FakeFeed<T extends KubeObject> implements ObjectFeed<T> {
  readonly resource: KubeResource;
  state: FeedFreshness = { state: 'live', heardAtEpochMs: 0, why: null };
  readonly #objects = new Map<string, T>();
  readonly #listeners = new Set<(object: T | null) => void>();
  #late: (() => void)[] | null = null;

  constructor(resource: KubeResource) {
    this.resource = resource;
  }

  list(): readonly T[] {
    return [...this.#objects.values()];
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  onChange(listener: (object: T | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  freshness(): FeedFreshness {
    return this.state;
  }

  become(state: FeedFreshness): void {
    this.state = state;
    for (const listener of this.#listeners) listener(null);
  }

  put(object: T): void {
    this.#soon(() => {
      this.#objects.set(keyOf(object), object);
      for (const listener of this.#listeners) listener(object);
    });
  }

  remove(object: T): void {
    this.#soon(() => {
      this.#objects.delete(keyOf(object));
      for (const listener of this.#listeners) listener(object);
    });
  }

  /** From now on nothing is shown until `release`. */
  hold(): void {
    this.#late ??= [];
  }

  release(): void {
    const late = this.#late ?? [];
    this.#late = null;
    for (const show of late) show();
  }

  #soon(show: () => void): void {
    if (this.#late === null) show();
    else this.#late.push(show);
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? 'default'}/${metadata.name}`;
}

/**
 * The parts of an API server that scaling needs: objects by path, optimistic locking by resourceVersion, merge patches,
 * /scale with managedFields, rights that can be taken away.
 */
export class FakeKube implements KubeApi {
  readonly requests: KubeRequest[] = [];
  readonly pods = new FakeFeed<KubeObject>(PODS);
  /** "verb plural[/subresource]" that answer 403. */
  readonly forbidden = new Set<string>();
  /** Called before each request; may throw or change the world, as another client would. */
  before: (request: KubeRequest) => void = () => undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #selectors = new Map<string, string>();
  readonly #discovery = new Map<string, Json>();
  #version = 100;

  request(request: KubeRequest): Promise<unknown> {
    return Promise.resolve().then(() => this.#answer(request));
  }

  /** Stores an object as if someone had created or replaced it. */
  put(path: string, object: KubeObject & { spec?: unknown }): Stored {
    const stored = {
      ...object,
      metadata: { uid: `uid-${object.metadata.name}`, ...object.metadata, resourceVersion: this.#nextVersion() },
    } as Stored;
    this.#objects.set(path, stored);
    if (path.includes('/pods/')) this.pods.put(stored);
    return stored;
  }

  get(path: string): Stored | undefined {
    return this.#objects.get(path);
  }

  remove(path: string): void {
    const gone = this.#objects.get(path);
    this.#objects.delete(path);
    if (gone !== undefined && path.includes('/pods/')) this.pods.remove(gone);
  }

  /** What /scale of that object says in status.selector. */
  selector(path: string, selector: string): void {
    this.#selectors.set(path, selector);
  }

  discover(groupVersion: string, resources: readonly { name: string; kind: string }[]): void {
    this.#discovery.set(`/apis/${groupVersion}`, { kind: 'APIResourceList', resources });
  }

  /** Another client sets the replicas, as `kubectl scale` or an apply would. */
  scaleAs(manager: string, path: string, replicas: number, time: string, subresource: string | null = 'scale'): void {
    const object = this.#must(path);
    this.put(path, withReplicas(object, replicas, { manager, time, subresource }));
  }

  #answer(request: KubeRequest): unknown {
    this.requests.push(request);
    this.before(request);
    const { method, path } = request;
    this.#checkRight(method, path);
    const discovered = this.#discovery.get(path);
    if (discovered !== undefined) return discovered;
    if (path.endsWith('/scale')) return this.#scale(request, path.slice(0, -'/scale'.length));
    if (method === 'GET' && this.#objects.get(path) === undefined) {
      const items = [...this.#objects].filter(([key]) => key.startsWith(`${path}/`)).map(([, object]) => object);
      if (items.length > 0 || path.split('/').length === 7 || /\/(pods|replicasets)$/.test(path)) return { items };
    }
    if (method === 'GET') return this.#must(path);
    if (method === 'DELETE') {
      const gone = this.#must(path);
      this.remove(path);
      return gone;
    }
    if (method !== 'PATCH') throw new KubeApiError(`${method} is not known here`, { status: 405 });
    return this.#patch(path, request.body as Json);
  }

  #scale({ method, body, query }: KubeRequest, path: string): unknown {
    const object = this.#must(path);
    if (method === 'PATCH') {
      const { metadata = {}, spec } = body as { metadata?: { resourceVersion?: string }; spec: { replicas: number } };
      this.#checkVersion(object, metadata.resourceVersion);
      const by = { manager: query?.['fieldManager'] ?? 'unknown', time: '2023-11-14T22:13:20Z', subresource: 'scale' };
      this.put(path, withReplicas(object, spec.replicas, by));
    }
    const now = this.#must(path);
    const replicas = now.spec?.['replicas'] as number | undefined;
    return {
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: now.metadata,
      // As the API server does: a zero is not written.
      spec: replicas ? { replicas } : {},
      status: { replicas: replicas ?? 0, selector: this.#selectors.get(path) },
    };
  }

  #patch(path: string, body: Json): unknown {
    const object = this.#must(path);
    const metadata = (body['metadata'] ?? {}) as { uid?: string; resourceVersion?: string };
    this.#checkVersion(object, metadata.resourceVersion);
    if (metadata.uid !== undefined && metadata.uid !== object.metadata.uid) {
      throw new KubeApiError('Precondition failed: UID', { status: 409, reason: 'Conflict' });
    }
    return this.put(path, merge(object as unknown as Json, body) as unknown as KubeObject);
  }

  #checkVersion(object: KubeObject, wanted: string | undefined): void {
    if (wanted === undefined || wanted === object.metadata.resourceVersion) return;
    throw new KubeApiError('the object has been modified', { status: 409, reason: 'Conflict' });
  }

  #checkRight(method: string, path: string): void {
    const [plural = '', , subresource] = path.split('/').slice(path.startsWith('/api/') ? 5 : 6);
    const verb = { GET: 'get', PATCH: 'patch', DELETE: 'delete', POST: 'create', PUT: 'update' }[method] ?? method;
    if (this.forbidden.has(`${verb} ${plural}${subresource === undefined ? '' : `/${subresource}`}`)) {
      throw new KubeApiError(`cannot ${verb} resource "${plural}"`, { status: 403, reason: 'Forbidden' });
    }
  }

  #must(path: string): Stored {
    const object = this.#objects.get(path);
    if (object === undefined) throw new KubeApiError(`${path} not found`, { status: 404, reason: 'NotFound' });
    return object;
  }

  #nextVersion(): string {
    this.#version += 1;
    return String(this.#version);
  }
}

function withReplicas(
  object: Stored,
  replicas: number,
  by: { manager: string; time: string; subresource: string | null },
): Stored {
  const others = (object.metadata.managedFields ?? []).filter(
    ({ fieldsV1 }) => !JSON.stringify(fieldsV1 ?? {}).includes('f:replicas'),
  );
  const entry = {
    manager: by.manager,
    operation: 'Update',
    time: by.time,
    ...(by.subresource === null ? {} : { subresource: by.subresource }),
    fieldsV1: { 'f:spec': { 'f:replicas': {} } },
  };
  return {
    ...object,
    metadata: { ...object.metadata, managedFields: [...others, entry] },
    spec: { ...object.spec, replicas },
  };
}

function merge(target: Json, patch: Json): Json {
  const kept = Object.entries(target).filter(([name]) => patch[name] !== null);
  const changed = Object.entries(patch)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, isJson(value) ? merge((target[name] ?? {}) as Json, value) : value] as const);
  return { ...Object.fromEntries(kept), ...Object.fromEntries(changed) };
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
