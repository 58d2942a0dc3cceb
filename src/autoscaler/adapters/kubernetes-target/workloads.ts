import type { Clock } from '../../../core/clock.ts';
import type { CatalogSource, PoolKey, PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import { ScaledWorkload, type WorkloadWorld } from './workload.ts';

/**
 * While pods come or go, and while nothing happens. Both only bound how late a change by others is noticed; a change that
 * makes or ends pods is noticed by those.
 */
const BUSY_READ_MS = 2_000;
const IDLE_READ_MS = 10_000;
/** Many workloads at rest are read less often: a hundred cost three reads a second. None is read less often than this. */
const READ_EACH_MS = 300;
const LONGEST_READ_MS = 30_000;
const TICK_MS = 500;
const READS_AT_ONCE = 8;
const BUSY_FOR_MS = 15_000;

interface Entry {
  readonly workload: ScaledWorkload;
  /** The pool that scales it: the first of the catalog. */
  owner: PoolKey;
  busyUntilMs: number;
  nextReadMs: number;
  reading: Promise<void> | null;
}

/** The scaled objects of all pools, read again and again. */
export class Workloads {
  readonly #world: WorkloadWorld;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #onRead: (pool: PoolKey) => void;
  readonly #closed = new AbortController();
  readonly #stopCatalog: () => void;
  readonly #isKept: (pool: PoolKey) => boolean;
  #specs = new Map<PoolKey, string>();

  /** Workloads of pools that have left the catalog are read on for as long as `isKept` says so. */
  constructor(
    world: WorkloadWorld,
    catalog: CatalogSource,
    onRead: (pool: PoolKey) => void,
    isKept: (pool: PoolKey) => boolean,
  ) {
    this.#isKept = isKept;
    this.#world = world;
    this.#clock = world.clock;
    this.#onRead = onRead;
    this.#follow(catalog.current().pools.values());
    this.#stopCatalog = catalog.onChange(({ pools }) => this.#follow(pools.values()));
    void this.#run();
  }

  /** Undefined for a target that is no object of Kubernetes, or of a pool that is not in the catalog. */
  of(pool: Pick<PoolSpec, 'namespace'>, target: ScaleTarget): ScaledWorkload | undefined {
    return this.#entry(pool, target)?.workload;
  }

  ownerOf(pool: Pick<PoolSpec, 'namespace'>, target: ScaleTarget): PoolKey | undefined {
    return this.#entry(pool, target)?.owner;
  }

  /** One that no pool of the catalog has (any more). */
  open(pool: Pick<PoolSpec, 'namespace'>, target: ScaleTarget): ScaledWorkload | undefined {
    const ref = target.scaleTargetRef;
    return ref === undefined ? undefined : new ScaledWorkload(pool.namespace, ref, this.#world);
  }

  /** Pods of it come or go: it is read soon, and often for a while. */
  stir(pool: Pick<PoolSpec, 'namespace'>, target: ScaleTarget): void {
    const entry = this.#entry(pool, target);
    if (entry === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    entry.busyUntilMs = nowMs + BUSY_FOR_MS;
    entry.nextReadMs = Math.min(entry.nextReadMs, nowMs + TICK_MS);
  }

  /** Its pool is gone and needs nothing any more. */
  forget(pool: PoolKey): void {
    for (const [key, { owner }] of this.#entries) if (owner === pool) this.#entries.delete(key);
  }

  /** Reads all again, e.g. after this process became the leader. */
  readAll(): void {
    for (const entry of this.#entries.values()) entry.nextReadMs = 0;
    this.#readDue();
  }

  /** Resolves when every workload was asked for at least once. */
  async settled(): Promise<void> {
    await Promise.all([...this.#entries.values()].map(async ({ reading }) => reading));
  }

  close(): void {
    this.#stopCatalog();
    this.#closed.abort();
  }

  #entry({ namespace }: Pick<PoolSpec, 'namespace'>, target: ScaleTarget): Entry | undefined {
    return this.#entries.get(keyOf(namespace, target) ?? '');
  }

  #follow(pools: Iterable<PoolSpec>): void {
    const known = new Set<string>();
    const specs = new Map<PoolKey, string>();
    for (const pool of pools) {
      const spec = JSON.stringify(pool);
      specs.set(pool.key, spec);
      for (const target of pool.targets) {
        const key = keyOf(pool.namespace, target);
        if (key === null || known.has(key)) continue;
        known.add(key);
        const entry = this.#entries.get(key) ?? this.#open(pool, target, key);
        entry.owner = pool.key;
        if (this.#specs.has(pool.key) && this.#specs.get(pool.key) !== spec) entry.workload.forgive();
      }
    }
    for (const [key, { owner }] of this.#entries) {
      if (!known.has(key) && !(this.#isKept(owner) && !specs.has(owner))) this.#entries.delete(key);
    }
    this.#specs = specs;
    this.#readDue();
  }

  #open(pool: PoolSpec, target: ScaleTarget, key: string): Entry {
    const ref = target.scaleTargetRef;
    if (ref === undefined) throw new Error(`target ${target.name} has no scaleTargetRef`);
    const workload = new ScaledWorkload(pool.namespace, ref, this.#world);
    const entry: Entry = { workload, owner: pool.key, busyUntilMs: 0, nextReadMs: 0, reading: null };
    this.#entries.set(key, entry);
    return entry;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      this.#readDue();
      await this.#clock.sleep(TICK_MS, signal).catch(() => undefined);
    }
  }

  #readDue(): void {
    const nowMs = this.#clock.monotonicMs();
    const idle = [...this.#entries.values()].filter((entry) => entry.reading === null);
    const room = READS_AT_ONCE - (this.#entries.size - idle.length);
    const due = idle.filter(({ nextReadMs, workload }) => nextReadMs <= nowMs || workload.stale);
    const longest = due.sort((a, b) => a.nextReadMs - b.nextReadMs).slice(0, Math.max(0, room));
    for (const entry of longest) entry.reading = this.#read(entry);
  }

  async #read(entry: Entry): Promise<void> {
    await entry.workload.read();
    entry.reading = null;
    const nowMs = this.#clock.monotonicMs();
    const idleMs = Math.max(IDLE_READ_MS, Math.min(LONGEST_READ_MS, this.#entries.size * READ_EACH_MS));
    const isBusy = nowMs < entry.busyUntilMs || entry.workload.error !== null;
    entry.nextReadMs = nowMs + (isBusy ? BUSY_READ_MS : idleMs);
    if (this.#closed.signal.aborted) return;
    this.#onRead(entry.owner);
    this.#readDue();
  }
}

/** Asked for each pod of each look. A target belongs to one pool, and so to one namespace. */
const keys = new WeakMap<ScaleTarget, string>();

function keyOf(namespace: string, target: ScaleTarget): string | null {
  const { scaleTargetRef: ref } = target;
  if (ref === undefined) return null;
  const known = keys.get(target);
  if (known !== undefined) return known;
  // The version is only a way to ask for the same object.
  const group = ref.apiVersion.includes('/') ? ref.apiVersion.split('/')[0] : '';
  const key = `${namespace}/${group}/${ref.kind}/${ref.name}`;
  keys.set(target, key);
  return key;
}
