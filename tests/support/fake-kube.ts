import {
  type FeedFreshness,
  type KubeApi,
  KubeApiError,
  type KubeObject,
  type KubeRequest,
  type KubeResource,
  type ObjectFeed,
} from '../../src/core/kubernetes.ts';

type Json = Record<string, unknown>;

/** One resource in memory, as an API server keeps it and as a feed shows it: merge patches, versions, and failures. */
export class FakeKube implements KubeApi, ObjectFeed {
  readonly resource: KubeResource;
  readonly requests: KubeRequest[] = [];
  /** What the next request meets instead of an answer; asked once each. */
  readonly failures: KubeApiError[] = [];
  fresh: FeedFreshness = { state: 'live', heardAtEpochMs: 0, why: null };
  /** False: the feed hears nothing until `deliver`. */
  delivers = true;
  readonly #stored = new Map<string, KubeObject>();
  #heard = new Map<string, KubeObject>();
  readonly #listeners = new Set<(object: KubeObject | null) => void>();
  #version = 0;

  constructor(resource: KubeResource) {
    this.resource = resource;
  }

  put(object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String((this.#version += 1)) } };
    this.#stored.set(`${namespace}/${name}`, stored);
    if (this.delivers) this.deliver();
    return stored;
  }

  delete(namespace: string, name: string): void {
    this.#stored.delete(`${namespace}/${name}`);
    if (this.delivers) this.deliver();
  }

  stored(namespace: string, name: string): KubeObject | undefined {
    return this.#stored.get(`${namespace}/${name}`);
  }

  deliver(): void {
    const before = this.#heard;
    this.#heard = new Map(this.#stored);
    for (const [key, object] of this.#heard) {
      if (before.get(key) !== object) for (const listener of this.#listeners) listener(object);
    }
    for (const [key, object] of before) {
      if (!this.#heard.has(key)) for (const listener of this.#listeners) listener(object);
    }
  }

  request(request: KubeRequest): Promise<unknown> {
    return Promise.resolve().then(() => {
      this.requests.push(request);
      const failure = this.failures.shift();
      if (failure !== undefined) throw failure;
      const match = /\/namespaces\/([^/]+)\/[^/]+\/([^/]+)(\/status)?$/.exec(request.path);
      const [, namespace = '', name = ''] = match ?? [];
      const object = this.stored(namespace, name);
      if (object === undefined) throw new KubeApiError('not found', { status: 404, reason: 'NotFound' });
      if (request.method !== 'PATCH' || request.patch !== 'merge') throw new Error('the fake knows merge patches only');
      return this.put(merged(object as unknown as Json, request.body as Json) as unknown as KubeObject);
    });
  }

  list(): readonly KubeObject[] {
    return [...this.#heard.values()];
  }

  get(namespace: string, name: string): KubeObject | undefined {
    return this.#heard.get(`${namespace}/${name}`);
  }

  onChange(listener: (object: KubeObject | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  freshness(): FeedFreshness {
    return this.fresh;
  }
}

/** RFC 7386. */
function merged(target: Json, patch: Json): Json {
  const kept = Object.entries(target).filter(([key]) => patch[key] !== null);
  const result: Json = Object.fromEntries(kept);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) continue;
    if (isObject(value)) result[key] = merged(isObject(result[key]) ? result[key] : {}, value);
    else result[key] = value;
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
