import type { FeedFreshness, ObjectFeed } from '../../../core/kubernetes.ts';
import type { Logger } from '../../../core/logger.ts';
import type { CatalogSource, PoolKey, PoolSpec } from '../../../core/objects.ts';
import { selects } from '../../policy/kube/assign.ts';
import { isReady, isTerminating, namespaceOf, type Pod, readySinceEpochMs, uidOf } from '../../policy/kube/pod.ts';

export interface PoolPodsDeps {
  readonly pods: ObjectFeed<Pod>;
  readonly catalog: CatalogSource;
  readonly log: Logger;
}

/** A pod as it is now, and what was seen of it before. */
export interface SeenPod {
  readonly pod: Pod;
  readonly pools: readonly PoolKey[];
  /** Since when it was ready when it was last seen so; null = never seen ready. */
  readonly lastReadyAtEpochMs: number | null;
}

/**
 * The pods of every pool, kept in step with the pod feed and the catalog. What a write of ours returned counts until the
 * feed has caught up with it. Memory: one entry for each pod that some pool selects.
 */
export class PoolPods {
  readonly #deps: PoolPodsDeps;
  readonly #seen = new Map<string, SeenPod>();
  readonly #byPool = new Map<PoolKey, Map<string, SeenPod>>();
  #pools: readonly PoolSpec[] = [];
  readonly #poolsByNamespace = new Map<string, PoolSpec[]>();
  #isKept: (pool: PoolKey) => boolean = () => false;
  /** Pods as our last write left them, newer than what the feed has shown so far. */
  readonly #written = new Map<string, Pod>();
  readonly #terminating = new Map<string, Pod>();
  readonly #listeners = new Set<(pool: PoolKey) => void>();
  readonly #stops: (() => void)[];

  constructor(deps: PoolPodsDeps) {
    this.#deps = deps;
    this.#stops = [
      deps.pods.onChange((pod) => (pod === null ? this.#rebuild() : this.#changed(pod))),
      deps.catalog.onChange(() => this.#rebuild()),
    ];
    this.#rebuild();
  }

  of(pool: PoolKey): readonly SeenPod[] {
    return [...(this.#byPool.get(pool)?.values() ?? [])];
  }

  get(uid: string): SeenPod | undefined {
    return this.#seen.get(uid);
  }

  /** Pods of all pools that are on their way out, as long as they are there. */
  terminating(): readonly Pod[] {
    return [...this.#terminating.values()];
  }

  /** All pods of the feed, those that no pool selects included. */
  all(): readonly { readonly pod: Pod; readonly pools: readonly PoolKey[] }[] {
    return this.#deps.pods.list().map((pod) => this.#seen.get(uidOf(pod)) ?? { pod, pools: [] });
  }

  freshness(): FeedFreshness {
    return this.#deps.pods.freshness();
  }

  /** Pods of pools that have left the catalog are shown for as long as this says so: somebody still drains them. */
  keep(isKept: (pool: PoolKey) => boolean): void {
    this.#isKept = isKept;
  }

  /** Looks again at which pools there are. */
  refresh(): void {
    this.#rebuild();
  }

  /** Takes over what a write returned, as if the feed had said it. */
  wrote(pod: Pod): void {
    const uid = uidOf(pod);
    if (!this.#seen.has(uid)) return;
    this.#written.set(uid, pod);
    this.#changed(pod);
  }

  /** Called after each change of a pod of that pool, and of the feed's freshness. Returns the way to stop. */
  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#listeners.clear();
  }

  #changed(changed: Pod): void {
    const uid = uidOf(changed);
    const before = this.#seen.get(uid)?.pools ?? [];
    const current = this.#current(changed);
    if (current === null) this.#forget(uid);
    else this.#take(current);
    const after = this.#seen.get(uid)?.pools ?? [];
    this.#tell(new Set([...before, ...after]));
  }

  /** The newest known state of a pod; null when it is gone, or its name belongs to another pod now. */
  #current(changed: Pod): Pod | null {
    const uid = uidOf(changed);
    const fed = this.#deps.pods.get(namespaceOf(changed), changed.metadata.name);
    if (fed === undefined || uidOf(fed) !== uid) return null;
    const written = this.#written.get(uid);
    if (written === undefined) return fed;
    if (!isOlder(fed, written)) this.#written.delete(uid);
    return isOlder(fed, written) ? written : fed;
  }

  #rebuild(): void {
    this.#indexPools();
    const told = new Set([...this.#byPool.keys(), ...this.#deps.catalog.current().pools.keys()]);
    const pods = this.#deps.pods.list();
    const uids = new Set(pods.map(uidOf));
    for (const uid of this.#seen.keys()) if (!uids.has(uid)) this.#forget(uid);
    for (const pod of pods) {
      const current = this.#current(pod);
      if (current !== null) this.#take(current);
    }
    this.#tell(told);
  }

  #indexPools(): void {
    const { pools } = this.#deps.catalog.current();
    const kept = this.#pools.filter(({ key }) => !pools.has(key) && this.#isKept(key));
    this.#pools = [...pools.values(), ...kept];
    this.#poolsByNamespace.clear();
    for (const pool of this.#pools) {
      if (pool.pods === null) continue;
      const others = this.#poolsByNamespace.get(pool.namespace);
      if (others === undefined) this.#poolsByNamespace.set(pool.namespace, [pool]);
      else others.push(pool);
    }
  }

  #take(pod: Pod): void {
    const uid = uidOf(pod);
    const before = this.#seen.get(uid);
    const candidates = this.#poolsByNamespace.get(namespaceOf(pod)) ?? [];
    const pools = candidates.filter((pool) => selects(pool, pod)).map(({ key }) => key);
    for (const pool of before?.pools ?? []) if (!pools.includes(pool)) this.#leave(pool, uid);
    if (pools.length === 0) {
      this.#drop(uid);
      return;
    }
    if (isTerminating(pod)) this.#terminating.set(uid, pod);
    const lastReadyAtEpochMs = isReady(pod) ? (readySinceEpochMs(pod) ?? 0) : (before?.lastReadyAtEpochMs ?? null);
    const seen = { pod, pools, lastReadyAtEpochMs };
    this.#seen.set(uid, seen);
    for (const pool of pools) this.#ofPool(pool).set(uid, seen);
    if (pools.length > 1 && before?.pools.length !== pools.length) {
      this.#deps.log.warn({ namespace: pod.metadata.namespace, pod: pod.metadata.name, pools }, 'pod.shared_by_pools');
    }
  }

  #forget(uid: string): void {
    for (const pool of this.#seen.get(uid)?.pools ?? []) this.#leave(pool, uid);
    this.#drop(uid);
  }

  #drop(uid: string): void {
    this.#seen.delete(uid);
    this.#written.delete(uid);
    this.#terminating.delete(uid);
  }

  #leave(pool: PoolKey, uid: string): void {
    const pods = this.#byPool.get(pool);
    pods?.delete(uid);
    if (pods?.size === 0) this.#byPool.delete(pool);
  }

  #ofPool(pool: PoolKey): Map<string, SeenPod> {
    const known = this.#byPool.get(pool) ?? new Map<string, SeenPod>();
    this.#byPool.set(pool, known);
    return known;
  }

  #tell(pools: Iterable<PoolKey>): void {
    for (const pool of pools) for (const listener of this.#listeners) listener(pool);
  }
}

/**
 * Whether the feed has not caught up with what a write returned. Resource versions of one resource can be compared as
 * numbers (Kubernetes 1.35, KEP-5504); one that is no number counts as caught up.
 */
function isOlder(fed: Pod, written: Pod): boolean {
  const [a = '', b = ''] = [fed.metadata.resourceVersion, written.metadata.resourceVersion];
  return /^\d+$/.test(a) && /^\d+$/.test(b) && BigInt(a) < BigInt(b);
}
