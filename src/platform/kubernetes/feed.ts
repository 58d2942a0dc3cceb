import type { Clock } from '../../core/clock.ts';
import type { FeedFreshness, KubeObject, KubeResource, ObjectFeed } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import type { Random } from '../../core/random.ts';
import type { WatchableApi } from './api.ts';
import { discover } from './discovery.ts';
import type { KubernetesMetrics } from './metrics.ts';
import { NamespaceFeed } from './namespace-feed.ts';
import { absentDelayMs, backoffMs, remedyOf, worstOf } from './watch-rules.ts';

export interface FeedOptions<T extends KubeObject = KubeObject> {
  readonly api: WatchableApi;
  /** One resource, or several that mean the same in order of preference: the first that the server serves is followed. */
  readonly resource: KubeResource | readonly [KubeResource, ...KubeResource[]];
  /** One list and one watch each; never cluster-wide. */
  readonly namespaces: readonly string[];
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics?: KubernetesMetrics;
  /** Label in metrics and logs. Default: the plural of the first resource. */
  readonly name?: string;
  /** What is kept of each object. Default: all of it, of pods without managedFields, which are half of their size. */
  readonly transform?: (object: KubeObject) => T;
  /**
   * In all namespaces together; default 20,000 (a pod without managedFields takes some 10 kB). Above it the feed keeps
   * what it has, turns stale, says so, and looks again each minute.
   */
  readonly maxObjects?: number;
}

export interface OpenFeed<T extends KubeObject = KubeObject> extends ObjectFeed<T> {
  /** Resolves when every namespace was listed once, or the resource is known to be absent. Rejects with the signal's reason. */
  whenSynced(signal?: AbortSignal): Promise<void>;
  /**
   * Shows the server's answer to a write of ours at once instead of when the watch brings it. Returns whether it was
   * taken: only when it is newer than what is known of the object. The object must be one that the selectors match.
   */
  applyLocal(object: KubeObject): boolean;
  /** Ends its watches; what it holds stays readable. */
  close(): Promise<void>;
}

const MAX_OBJECTS = 20_000;
/** Before another candidate is looked for when one is gone: discovery may lag behind. */
const NEXT_CANDIDATE_MS = 2_000;

/** Starts following at once, in the background. */
export function openFeed<T extends KubeObject = KubeObject>(options: FeedOptions<T>): OpenFeed<T> {
  const feed = new ResourceFeed<T>(options);
  feed.start();
  return feed;
}

/** The namespaces of one of the candidates. */
interface Followed<T extends KubeObject> {
  readonly rank: number;
  readonly resource: KubeResource;
  readonly namespaces: ReadonlyMap<string, NamespaceFeed<T>>;
  readonly stop: AbortController;
  /** Resolves when the resource turned out absent or it was stopped; never rejects. */
  readonly ended: Promise<void>;
}

class ResourceFeed<T extends KubeObject> implements OpenFeed<T> {
  readonly #options: FeedOptions<T>;
  readonly #candidates: readonly [KubeResource, ...KubeResource[]];
  readonly #name: string;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(object: T | null) => void>();
  #following: Followed<T> | null = null;
  /** A better candidate whose first lists are not complete yet. */
  #next: Followed<T> | null = null;
  #onNextState: (() => void) | null = null;
  #absentSinceEpochMs: number | null = null;
  #discoveryProblem: string | null = null;
  #loop: Promise<void> = Promise.resolve();
  #told: Pick<FeedFreshness, 'state' | 'why'> | null = null;

  constructor(options: FeedOptions<T>) {
    this.#options = options;
    const { resource } = options;
    this.#candidates = isMany(resource) ? resource : [resource];
    this.#name = options.name ?? this.#candidates[0].plural;
  }

  get resource(): KubeResource {
    return this.#following?.resource ?? this.#candidates[0];
  }

  list(): readonly T[] {
    const namespaces = [...(this.#following?.namespaces.values() ?? [])];
    return namespaces.flatMap(({ store }) => [...store.values()]);
  }

  get(namespace: string, name: string): T | undefined {
    return this.#following?.namespaces.get(namespace)?.store.get(name);
  }

  onChange(listener: (object: T | null) => void): () => void {
    const own = (object: T | null) => listener(object);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  freshness(): FeedFreshness {
    if (this.#following) {
      const worst = worstOf([...this.#following.namespaces.values()].map((one) => one.freshness()));
      // Asking again whether it is there is no news.
      if (this.#absentSinceEpochMs === null || worst.state !== 'syncing' || worst.why !== null) return worst;
    }
    if (this.#absentSinceEpochMs === null) {
      return { state: 'syncing', heardAtEpochMs: null, why: this.#discoveryProblem };
    }
    const { group, plural } = this.#candidates[0];
    const why = `the API server does not know ${plural}${group === '' ? '' : `.${group}`}: its CRD is not installed`;
    return { state: 'absent', heardAtEpochMs: this.#absentSinceEpochMs, why };
  }

  applyLocal(object: KubeObject): boolean {
    const { namespace = '' } = object.metadata;
    const taken = this.#transform(object);
    if (!this.#following?.namespaces.get(namespace)?.store.applyLocal(taken)) return false;
    this.#tell(taken);
    return true;
  }

  async whenSynced(signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const check = () => {
      if (this.freshness().state !== 'syncing') resolve(undefined);
    };
    const onAbort = () => reject(signal?.reason as Error);
    const onClose = () => reject(this.#stop.signal.reason as Error);
    const forget = this.onChange(check);
    try {
      signal?.throwIfAborted();
      this.#stop.signal.throwIfAborted();
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#stop.signal.addEventListener('abort', onClose, { once: true });
      check();
      await promise;
    } finally {
      forget();
      signal?.removeEventListener('abort', onAbort);
      this.#stop.signal.removeEventListener('abort', onClose);
    }
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted)
        this.#options.log.error({ feed: this.#name, err: error }, 'kubernetes.feed_failed');
    });
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error(`the feed of ${this.#name} was closed`));
    await this.#loop;
  }

  /** Ends with the signal only. */
  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#stop;
    try {
      for (;;) {
        signal.throwIfAborted();
        const rank = await this.#discover(this.#candidates.length);
        if (rank === null) this.#becomeAbsent();
        else if (this.#following === null) this.#following = this.#follow(rank);
        if (this.#following === null) {
          await clock.sleep(absentDelayMs(random), signal);
          continue;
        }
        await this.#followToTheEnd();
        this.#becomeAbsent();
        await clock.sleep(this.#candidates.length > 1 ? NEXT_CANDIDATE_MS : absentDelayMs(random), signal);
      }
    } finally {
      await Promise.all([this.#following?.ended, this.#next?.ended]);
    }
  }

  /** Until the resource is gone; meanwhile a better candidate that arrives takes its place. */
  async #followToTheEnd(): Promise<void> {
    const { clock, random } = this.#options;
    while (this.#following) {
      const current = this.#following;
      if (current.rank === 0) {
        await current.ended;
        return;
      }
      const pause = new AbortController();
      const rest = clock.sleep(absentDelayMs(random), AbortSignal.any([pause.signal, this.#stop.signal])).then(
        () => true,
        () => false,
      );
      const isOver = await Promise.race([rest.then(() => false), current.ended.then(() => true)]);
      pause.abort();
      if (isOver) return;
      this.#stop.signal.throwIfAborted();
      const rank = await this.#discover(current.rank);
      if (rank !== null) await this.#replaceBy(rank, current);
    }
  }

  /** The old one stays readable until the new one was listed. */
  async #replaceBy(rank: number, old: Followed<T>): Promise<void> {
    const next = this.#follow(rank);
    this.#next = next;
    const { promise: listed, resolve } = Promise.withResolvers<'listed'>();
    const isListed = () => [...next.namespaces.values()].every((one) => one.freshness().state !== 'syncing');
    this.#onNextState = () => {
      if (isListed()) resolve('listed');
    };
    const first = await Promise.race([
      listed,
      next.ended.then(() => 'gone' as const),
      old.ended.then(() => 'alone' as const),
    ]);
    this.#onNextState = null;
    this.#stop.signal.throwIfAborted();
    this.#next = null;
    if (first === 'gone') return;
    this.#following = next;
    old.stop.abort(new Error('a better version is followed'));
    await old.ended;
    this.#options.log.info({ feed: this.#name, ...next.resource }, 'kubernetes.feed_resource_changed');
    this.#noteState(true);
  }

  #follow(rank: number): Followed<T> {
    const resource = this.#candidates[rank] ?? this.#candidates[0];
    const { api, namespaces, clock, random, log, metrics, labelSelector, fieldSelector } = this.#options;
    const stop = new AbortController();
    const onClose = () => stop.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener('abort', onClose, { once: true });
    const ofMine = new Map<string, NamespaceFeed<T>>();
    const isCurrent = () => this.#following?.stop === stop;
    const room = () => {
      const held = [...ofMine.values()].reduce((sum, { store }) => sum + store.size, 0);
      return (this.#options.maxObjects ?? MAX_OBJECTS) - held;
    };
    for (const namespace of new Set(namespaces)) {
      const feed = new NamespaceFeed<T>({
        ...{ api, resource, namespace, clock, random, log, room },
        transform: (object) => this.#transform(object),
        selectors: {
          ...(labelSelector === undefined ? {} : { labelSelector }),
          ...(fieldSelector === undefined ? {} : { fieldSelector }),
        },
        onObject: (object) => {
          if (isCurrent()) this.#tell(object);
        },
        onState: (isListed) => {
          if (isCurrent()) this.#noteState(isListed);
          else this.#onNextState?.();
        },
        onHeard: () => metrics && this.#measure(metrics),
        onRestart: (cause) => metrics?.feedRestartsTotal.inc({ resource: this.#name, cause }),
      });
      ofMine.set(namespace, feed);
    }
    const runs = [...ofMine.values()].map(async (feed) => {
      await feed.run(stop.signal).catch(() => undefined);
      // The resource is gone everywhere when it is gone anywhere.
      stop.abort(new Error(`${resource.plural} is absent`));
    });
    if (runs.length === 0) runs.push(whenAborted(stop.signal));
    const ended = Promise.all(runs).then(() => this.#stop.signal.removeEventListener('abort', onClose));
    return { rank, resource, namespaces: ofMine, stop, ended };
  }

  /** Index of the first of so many candidates that is served. Asks until it is told. */
  async #discover(among: number): Promise<number | null> {
    if (this.#candidates.length === 1) return 0;
    const { api, clock, random, log } = this.#options;
    for (let failures = 1; ; failures += 1) {
      try {
        return await discover(api, this.#candidates.slice(0, among), this.#stop.signal);
      } catch (error) {
        this.#stop.signal.throwIfAborted();
        this.#discoveryProblem = error instanceof Error ? error.message : String(error);
        log.debug({ feed: this.#name, why: this.#discoveryProblem }, 'kubernetes.discovery_failed');
        await clock.sleep(backoffMs(failures, remedyOf(error).retryAfterMs, random), this.#stop.signal);
      }
    }
  }

  #becomeAbsent(): void {
    this.#stop.signal.throwIfAborted();
    const gone = this.list();
    this.#following = null;
    this.#absentSinceEpochMs = this.#options.clock.epochMs();
    for (const object of gone) this.#tell(object);
    this.#noteState(gone.length > 0);
  }

  #transform(object: KubeObject): T {
    const { transform } = this.#options;
    return transform ? transform(object) : (withoutNoise(object) as T);
  }

  #tell(object: T | null): void {
    for (const listener of this.#listeners) {
      try {
        listener(object);
      } catch (error) {
        this.#options.log.error({ feed: this.#name, err: error }, 'kubernetes.feed_listener_failed');
      }
    }
  }

  #measure({ feedHeardTimestampSeconds, feedObjects }: KubernetesMetrics): void {
    const resource = this.#name;
    feedHeardTimestampSeconds.set({ resource }, (this.freshness().heardAtEpochMs ?? 0) / 1_000);
    const followed = [...(this.#following?.namespaces.values() ?? [])];
    feedObjects.set(
      { resource },
      followed.reduce((sum, { store }) => sum + store.size, 0),
    );
  }

  /** Tells the listeners when a list replaced everything or something about the freshness is new. */
  #noteState(isListed: boolean): void {
    const { state, why } = this.freshness();
    if (state !== 'absent' && state !== 'syncing') this.#absentSinceEpochMs = null;
    const { metrics, log } = this.#options;
    if (metrics) this.#measure(metrics);
    const told = this.#told;
    this.#told = { state, why };
    if (!isListed && told?.state === state && told.why === why) return;
    if (told?.state !== state) {
      if (told) log.info({ feed: this.#name, state, why }, 'kubernetes.feed_state_changed');
      for (const one of ['absent', 'syncing', 'live', 'stale'] as const) {
        metrics?.feedState.set({ resource: this.#name, state: one }, one === state ? 1 : 0);
      }
    }
    this.#tell(null);
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function isMany(
  resource: KubeResource | readonly [KubeResource, ...KubeResource[]],
): resource is readonly [KubeResource, ...KubeResource[]] {
  return Array.isArray(resource);
}

function withoutNoise(object: KubeObject): KubeObject {
  if (object.kind !== 'Pod') return object;
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}
