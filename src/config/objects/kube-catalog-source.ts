import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ObjectFeed } from '../../core/kubernetes.ts';
import type { Catalog, CatalogSource, PoolKey, PoolSpec } from '../../core/objects.ts';
import type { Problem } from '../problem.ts';
import { createCatalog } from './catalog.ts';
import type { ObjectSettings } from './compile.ts';
import { compileServed } from './compile-served.ts';
import { type FeedStates, feedProblems, missingKinds } from './feed-problems.ts';
import { type AnyObject, OBJECT_KINDS, type ObjectKind } from './parse-objects.ts';
import { fingerprintOf, readServed, type ServedObject, titleOfServed } from './served-object.ts';
import { type ObjectVerdict, verdictOf } from './verdict.ts';

/** A kind that the server refuses to list is waited for this long; then the rest is served without it. */
const REFUSED_GRACE_MS = 10_000;

export interface KubeCatalogOptions {
  /** One feed a kind. Of kinds with two groups, whichever is installed. */
  readonly feeds: Readonly<Record<ObjectKind, ObjectFeed>>;
  readonly settings: ObjectSettings;
  /** Default 10 s. */
  readonly refusedGraceMs?: number;
}

/**
 * The catalog of the objects of an API server, and what is to be said about each of them. Empty, generation 0, until
 * every kind was listed once; see `whenReady`. An object at fault changes nothing but its own verdict. All changes of
 * one turn of the event loop make one catalog.
 *
 * A pool is in the catalog while a ScalePolicy of this installation is in force for it. It leaves when that policy is
 * deleted; if it leaves for another reason (its className changed), listeners first see it with `onDelete: Keep`.
 */
export class KubeCatalogSource implements CatalogSource {
  readonly #feeds: KubeCatalogOptions['feeds'];
  readonly #settings: ObjectSettings;
  readonly #listeners = new Set<(catalog: Catalog) => void>();
  readonly #verdictListeners = new Set<() => void>();
  readonly #stopFeeds: readonly (() => void)[];
  readonly #firstCatalog = Promise.withResolvers<Catalog>();
  readonly #refusedGraceMs: number;
  #graceTimer: NodeJS.Timeout | undefined;
  #graceIsOver = false;
  #soon: NodeJS.Immediate | undefined;
  #objects: ReadonlyMap<string, ServedObject> = new Map();
  #missing: ReadonlyMap<ObjectKind, string> = new Map();
  #inForce: ReadonlyMap<string, AnyObject> = new Map();
  #problems: ReadonlyMap<string, readonly Problem[]> = new Map();
  #verdicts: ReadonlyMap<string, ObjectVerdict> = new Map();
  #catalog: Catalog;
  #content: unknown = null;
  #isReady = false;

  constructor({ feeds, settings, refusedGraceMs = REFUSED_GRACE_MS }: KubeCatalogOptions) {
    this.#feeds = feeds;
    this.#settings = settings;
    this.#refusedGraceMs = refusedGraceMs;
    const nothing = { pools: new Map(), objectives: [], rewrites: new Map(), createdAtEpochMs: () => 0 };
    const limits = { storedRequests: settings.limits.storedRequests, storedBytes: settings.limits.storedBytes };
    this.#catalog = createCatalog({ generation: 0, limits, ...nothing });
    this.#stopFeeds = OBJECT_KINDS.map((kind) => feeds[kind].onChange((object) => this.#heard(kind, object)));
    this.#lookSoon();
  }

  current(): Catalog {
    return this.#catalog;
  }

  onChange(listener: (catalog: Catalog) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everything that is wrong now: with objects, with kinds that are not installed, with feeds that are old. */
  problems(): readonly Problem[] {
    return [...feedProblems(this.#freshness()), ...[...this.#problems.values()].flat()];
  }

  /** Undefined for an object that does not exist or belongs to another installation. */
  verdict(kind: ObjectKind, namespace: string, name: string): ObjectVerdict | undefined {
    return this.#verdicts.get(`${kind} ${namespace}/${name}`);
  }

  /** Of every object but those of other installations. */
  verdicts(): readonly ObjectVerdict[] {
    return [...this.#verdicts.values()];
  }

  /** Calls back after each look that changed a verdict, and after the catalog if that changed too. */
  onVerdicts(listener: () => void): () => void {
    this.#verdictListeners.add(listener);
    return () => this.#verdictListeners.delete(listener);
  }

  /** Resolves once the first catalog is made; rejects with the signal's reason. */
  async whenReady(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([this.#firstCatalog.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Stops following the feeds, which stay open. The catalog stays. */
  close(): void {
    for (const stop of this.#stopFeeds) stop();
    clearTimeout(this.#graceTimer);
    clearImmediate(this.#soon);
  }

  #heard(kind: ObjectKind, object: KubeObject | null): void {
    if (object !== null) {
      const now = this.#feeds[kind].get(object.metadata.namespace ?? '', object.metadata.name);
      const known = this.#objects.get(titleOfServed(kind, object))?.fingerprint;
      // Most changes are of a status, often our own.
      if (this.#isReady && (now && fingerprintOf(now)) === known) return;
    }
    this.#lookSoon();
  }

  #lookSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#look();
    });
  }

  #look(): void {
    const freshness = this.#freshness();
    if (!this.#isListed(freshness)) return;
    const missing = missingKinds(freshness);
    const objects = this.#read();
    const isSame = this.#isReady && isDeepStrictEqual(missing, this.#missing) && sameObjects(objects, this.#objects);
    if (isSame) return;
    this.#objects = objects;
    this.#missing = missing;
    this.#compile();
    this.#isReady = true;
    this.#firstCatalog.resolve(this.#catalog);
  }

  #compile(): void {
    const { installation } = this.#settings;
    const objects = [...this.#objects.values()];
    const [settings, previous, inForce] = [this.#settings, this.#catalog, this.#inForce];
    const result = compileServed({ objects, inForce, settings, missing: this.#missing, previous });
    this.#inForce = result.inForce;
    this.#problems = result.problems;
    const verdicts = new Map(
      objects
        .filter(({ className }) => className === null || className === installation)
        .map((object) => {
          const { title } = object;
          return [title, verdictOf(object, result.problems.get(title) ?? [], result.inForce.get(title))];
        }),
    );
    const verdictsChanged = !isDeepStrictEqual(verdicts, this.#verdicts);
    this.#verdicts = verdicts;
    if (!isDeepStrictEqual(result.content, this.#content)) {
      this.#content = result.content;
      this.#publish(result.catalog);
    }
    if (verdictsChanged) for (const listener of this.#verdictListeners) listener();
  }

  #publish(next: Catalog): void {
    const kept = this.#handedOver(next);
    const steps = kept.size === 0 ? [next] : [withPools(this.#catalog, kept), next];
    for (const step of steps) {
      this.#catalog = { ...step, generation: this.#catalog.generation + 1 };
      for (const listener of this.#listeners) listener(this.#catalog);
    }
  }

  /** Pools that leave although their policy exists: their targets are nobody's to bring down. */
  #handedOver(next: Catalog): ReadonlyMap<PoolKey, PoolSpec> {
    const leaving = [...this.#catalog.pools.values()].filter(
      ({ key, namespace, policyName, onDelete }) =>
        onDelete !== 'Keep' &&
        !next.pools.has(key) &&
        this.#objects.has(`ScalePolicy ${namespace}/${policyName ?? ''}`),
    );
    return new Map(leaving.map((pool) => [pool.key, { ...pool, onDelete: 'Keep' }]));
  }

  /** Every object as its feed has it now; those that have not changed are not read anew. In the order of their titles. */
  #read(): ReadonlyMap<string, ServedObject> {
    const objects = OBJECT_KINDS.flatMap((kind) => {
      const feed = this.#feeds[kind];
      return feed.list().map((object) => {
        const known = this.#objects.get(titleOfServed(kind, object));
        return known?.fingerprint === fingerprintOf(object) ? known : readServed(kind, feed.resource, object);
      });
    });
    const byTitle = (a: ServedObject, b: ServedObject) => (a.title < b.title ? -1 : 1);
    return new Map(objects.sort(byTitle).map((object) => [object.title, object]));
  }

  #freshness(): FeedStates {
    const of = (feed: ObjectFeed) => ({ feed, freshness: feed.freshness() });
    return new Map(OBJECT_KINDS.map((kind) => [kind, of(this.#feeds[kind])]));
  }

  /** Whether every kind was listed, or cannot be. ScalePolicies are always waited for. */
  #isListed(kinds: FeedStates): boolean {
    if (kinds.get('ScalePolicy')?.freshness.state === 'syncing') return false;
    const waiting = [...kinds.values()].filter(({ freshness }) => freshness.state === 'syncing');
    if (waiting.length === 0) return true;
    if (waiting.some(({ freshness }) => freshness.why === null)) return false;
    this.#graceTimer ??= setTimeout(() => {
      this.#graceIsOver = true;
      this.#lookSoon();
    }, this.#refusedGraceMs).unref();
    return this.#graceIsOver;
  }
}

function sameObjects(a: ReadonlyMap<string, ServedObject>, b: ReadonlyMap<string, ServedObject>): boolean {
  return a.size === b.size && [...a].every(([title, object]) => b.get(title) === object);
}

function withPools(catalog: Catalog, pools: ReadonlyMap<PoolKey, PoolSpec>): Catalog {
  return { ...catalog, pools: new Map([...catalog.pools, ...pools]) };
}
