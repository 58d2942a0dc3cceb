import { KubeApiError, type KubeObject, type KubeRequest } from '../../../../../src/core/kubernetes.ts';
import type { KubeWatchRequest, WatchableApi } from '../../../../../src/platform/kubernetes/api.ts';

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly collection: string;
  readonly object: KubeObject;
}

interface Watcher {
  readonly collection: string;
  readonly send: (bytes: Uint8Array) => void;
  readonly end: (error: Error | null) => void;
  /** Half-open: the server thinks it sends. */
  isDeaf: boolean;
}

/** What an API server promises of lists and watches, with every trouble at the test's hand. */
export class FakeApiServer implements WatchableApi {
  version = 100;
  isDown = false;
  /** Every page token is refused as too old. */
  expiresPages = false;
  /** Answers to the next requests instead of the true ones. */
  refusals: KubeApiError[] = [];
  /** What was asked, in order: "list PATH", "watch PATH from VERSION", "GET PATH". */
  readonly asked: string[] = [];
  readonly queries: Readonly<Record<string, string>>[] = [];
  readonly #collections = new Map<string, Map<string, KubeObject>>();
  readonly #history: Change[] = [];
  #held: (() => void)[] | null = null;
  readonly #pages = new Map<string, { version: number; rest: KubeObject[] }>();
  readonly #watchers = new Set<Watcher>();
  #compactedTo = 0;

  /** Makes "/apis/GROUP/VERSION/…/PLURAL" known, as a CRD does. */
  install(collection: string): void {
    if (!this.#collections.has(collection)) this.#collections.set(collection, new Map());
  }

  uninstall(collection: string): void {
    for (const name of [...(this.#collections.get(collection)?.keys() ?? [])]) this.delete(collection, name);
    this.#collections.delete(collection);
    for (const watcher of this.#watchers) if (watcher.collection === collection) watcher.end(null);
  }

  put(collection: string, name: string, spec: unknown, kind = 'Pod'): KubeObject {
    const objects = this.#objects(collection);
    this.version += 1;
    const namespace = /namespaces\/([^/]+)/.exec(collection)?.[1] ?? '';
    const object = { kind, metadata: { name, namespace, resourceVersion: String(this.version) }, spec };
    this.#record({ version: this.version, type: objects.has(name) ? 'MODIFIED' : 'ADDED', collection, object });
    objects.set(name, object);
    return object;
  }

  delete(collection: string, name: string): void {
    const object = this.#objects(collection).get(name);
    if (!object) return;
    this.version += 1;
    this.#objects(collection).delete(name);
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.version) } };
    this.#record({ version: this.version, type: 'DELETED', collection, object: last });
  }

  truth(collection: string): Map<string, KubeObject> {
    return new Map(this.#collections.get(collection));
  }

  get watching(): number {
    return this.#watchers.size;
  }

  /** History up to now is forgotten: watches from before get 410, pages too. */
  compact(): void {
    this.#compactedTo = this.version;
  }

  bookmark(): void {
    for (const watcher of this.#watchers) {
      this.#send(watcher, 'BOOKMARK', { metadata: { name: '', resourceVersion: String(this.version) } });
    }
  }

  /** Ends every watch; null = politely. */
  cut(error: Error | null): void {
    for (const watcher of [...this.#watchers]) watcher.end(error);
  }

  deafen(): void {
    for (const watcher of this.#watchers) watcher.isDeaf = true;
  }

  say(text: string): void {
    for (const watcher of this.#watchers) if (!watcher.isDeaf) watcher.send(Buffer.from(text));
  }

  async request(request: KubeRequest): Promise<unknown> {
    await Promise.resolve();
    this.queries.push(request.query ?? {});
    const isDiscovery = /^\/apis?\/[^/]+(\/[^/]+)?$/.test(request.path);
    this.asked.push(`${isDiscovery ? 'GET' : 'list'} ${request.path}`);
    this.#refuse(request.signal);
    if (isDiscovery) return this.#discovery(request.path);
    const answer = this.#list(request);
    const held = this.#held;
    if (held) await new Promise<void>((resolve) => held.push(resolve));
    return answer;
  }

  /** Lists are read at once and answered at `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    for (const go of this.#held ?? []) go();
    this.#held = null;
  }

  async watch({ path, query, signal }: KubeWatchRequest): Promise<AsyncIterable<Uint8Array>> {
    await Promise.resolve();
    this.asked.push(`watch ${path} from ${query['resourceVersion'] ?? ''}`);
    this.queries.push(query);
    this.#refuse(signal);
    if (!this.#collections.has(path)) throw notFound();
    const from = Number(query['resourceVersion']);
    if (from < this.#compactedTo) throw gone();
    if (from > this.version) throw new KubeApiError('Too large resource version', { status: 504, reason: 'Timeout' });
    const stream = new ByteStream(signal);
    const watcher: Watcher = {
      collection: path,
      isDeaf: false,
      send: (bytes) => stream.push(bytes),
      end: (error) => {
        this.#watchers.delete(watcher);
        stream.end(error);
      },
    };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => watcher.end(new KubeApiError('aborted', { status: 0 })), { once: true });
    for (const change of this.#history)
      if (change.collection === path && change.version > from) this.#tell(watcher, change);
    return stream;
  }

  #objects(collection: string): Map<string, KubeObject> {
    const objects = this.#collections.get(collection);
    if (!objects) throw new Error(`${collection} is not installed`);
    return objects;
  }

  #record(change: Change): void {
    this.#history.push(change);
    for (const watcher of this.#watchers) if (watcher.collection === change.collection) this.#tell(watcher, change);
  }

  #tell(watcher: Watcher, { type, object }: Change): void {
    this.#send(watcher, type, object);
  }

  /** Two chunks a line, cut where it hurts. */
  #send(watcher: Watcher, type: string, object: unknown): void {
    if (watcher.isDeaf) return;
    const bytes = Buffer.from(`${JSON.stringify({ type, object })}\n`);
    const at = (bytes.length * 7919) % bytes.length || Math.floor(bytes.length / 2);
    watcher.send(bytes.subarray(0, at));
    watcher.send(bytes.subarray(at));
  }

  #refuse(signal?: AbortSignal): void {
    if (signal?.aborted) throw new KubeApiError('aborted', { status: 0 });
    if (this.isDown) throw new KubeApiError('ECONNREFUSED', { status: 0 });
    const refusal = this.refusals.shift();
    if (refusal) throw refusal;
  }

  #discovery(path: string): unknown {
    const known = [...this.#collections.keys()].filter((collection) => collection.startsWith(`${path}/namespaces/`));
    if (known.length === 0) throw notFound();
    return { kind: 'APIResourceList', resources: known.map((collection) => ({ name: collection.split('/').at(-1) })) };
  }

  #list({ path, query = {} }: KubeRequest): unknown {
    if (!this.#collections.has(path)) throw notFound();
    const token = query['continue'];
    const page = token === undefined ? undefined : this.#pages.get(token);
    const version = page?.version ?? this.version;
    if (token !== undefined && (version < this.#compactedTo || this.expiresPages)) throw gone();
    const rest = page?.rest ?? [...this.#objects(path).values()];
    const limit = Number(query['limit'] ?? rest.length);
    const next = rest.length > limit ? `${version}/${rest.length - limit}/${path}` : '';
    if (next !== '') this.#pages.set(next, { version, rest: rest.slice(limit) });
    // Typed lists name their items' kind only once; null is an empty Go slice.
    const items = rest.slice(0, limit).map(({ kind: _kind, ...item }) => item);
    return {
      items: items.length === 0 ? null : items,
      metadata: { resourceVersion: String(version), ...(next === '' ? {} : { continue: next }) },
    };
  }
}

export function gone(): KubeApiError {
  return new KubeApiError('too old resource version', { status: 410, reason: 'Expired' });
}

function notFound(): KubeApiError {
  return new KubeApiError('the server could not find the requested resource', { status: 404, reason: 'NotFound' });
}

class ByteStream implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #ended: { error: Error | null } | null = null;
  #wake: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#wake();
  }

  end(error: Error | null): void {
    this.#ended ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) yield chunk;
      else if (this.#ended?.error) throw this.#ended.error;
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
