import type { Endpoint, EndpointDirectory } from '../core/endpoint.ts';
import type { PoolKey } from '../core/objects.ts';

/** Endpoints that were draining when they left the directory; older ones are forgotten. */
const MAX_LEFT = 256;

/** The endpoints of every pool by id, kept in step with the directory. */
export class EndpointIndex {
  readonly #directory: EndpointDirectory;
  readonly #onGone: (url: string) => void;
  readonly #pools = new Map<PoolKey, ReadonlyMap<string, Endpoint>>();
  readonly #left = new Set<string>();
  readonly #unsubscribe: () => void;

  /** `onGone` hears each address that no endpoint of its pool has any more. */
  constructor(directory: EndpointDirectory, onGone: (url: string) => void) {
    this.#directory = directory;
    this.#onGone = onGone;
    this.#unsubscribe = directory.onChange((pool) => this.#refresh(pool));
  }

  get(pool: PoolKey, endpointId: string): Endpoint | undefined {
    return this.#of(pool).get(endpointId);
  }

  /** Ids of the pool's endpoints that may take a call, as far as the directory knows. */
  serving(pool: PoolKey): readonly string[] {
    return [...this.#of(pool).values()].flatMap(({ id, draining }) => (draining ? [] : [id]));
  }

  /** It drains, or was drained and has left: whatever ended there was ended by us. */
  isLeaving(pool: PoolKey, endpointId: string): boolean {
    return this.get(pool, endpointId)?.draining ?? this.#left.has(endpointId);
  }

  isEmpty(pool: PoolKey): boolean {
    return this.#of(pool).size === 0;
  }

  close(): void {
    this.#unsubscribe();
  }

  #of(pool: PoolKey): ReadonlyMap<string, Endpoint> {
    return this.#pools.get(pool) ?? this.#refresh(pool);
  }

  #refresh(pool: PoolKey): ReadonlyMap<string, Endpoint> {
    const before = this.#pools.get(pool);
    const now = new Map(this.#directory.list(pool).map((endpoint) => [endpoint.id, endpoint]));
    if (now.size > 0) this.#pools.set(pool, now);
    else this.#pools.delete(pool);
    const urls = new Set([...now.values()].map((endpoint) => endpoint.url));
    for (const endpoint of before?.values() ?? []) {
      if (endpoint.draining && !now.has(endpoint.id)) this.#noteLeft(endpoint.id);
      if (!urls.has(endpoint.url)) this.#onGone(endpoint.url);
    }
    return now;
  }

  #noteLeft(endpointId: string): void {
    this.#left.add(endpointId);
    const [oldest] = this.#left;
    if (this.#left.size > MAX_LEFT && oldest !== undefined) this.#left.delete(oldest);
  }
}
