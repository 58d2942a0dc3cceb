import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog, CatalogSource, PoolKey } from '../core/objects.ts';
import { orderRules } from '../core/order-rules.ts';
import { openPool, type PoolParts, type PoolWorld } from './pool-parts.ts';
import { RulesTeller } from './rules-teller.ts';

/** Takes in stored work of pools. */
export interface PoolTaker {
  add(parts: PoolParts): void;
  /** Takes in no more of it; what runs may end. */
  remove(pool: PoolKey): Promise<void>;
}

/**
 * The parts of every pool that this process has served, in step with the catalog. A pool that leaves the catalog takes
 * in no stored work any more; its order stays open, because calls may still run in it and the autoscaler still drains it.
 */
export class PoolSet {
  readonly #world: PoolWorld;
  readonly #catalog: CatalogSource;
  readonly #log: Logger;
  readonly #parts = new Map<PoolKey, PoolParts>();
  readonly #taking = new Set<PoolKey>();
  readonly #rules: RulesTeller;
  #takers: readonly PoolTaker[] = [];
  /** Additions and removals of stored work, one after the other. */
  #changes: Promise<void> = Promise.resolve();
  #stopFollowing: () => void = () => undefined;

  constructor(world: PoolWorld, catalog: CatalogSource) {
    this.#world = world;
    this.#catalog = catalog;
    this.#log = world.log;
    this.#rules = new RulesTeller(world.clock, world.log);
  }

  /** Opens the pools of the catalog, now and as it changes, and tells those who take in their work. */
  follow(takers: readonly PoolTaker[]): void {
    this.#takers = takers;
    this.#stopFollowing = this.#catalog.onChange((catalog) => this.#apply(catalog));
    this.#apply(this.#catalog.current());
  }

  get(pool: PoolKey): PoolParts | undefined {
    return this.#parts.get(pool);
  }

  /** Throws for a pool that is in no catalog so far: a defect of the caller. */
  require(pool: PoolKey): PoolParts {
    const parts = this.#parts.get(pool);
    if (!parts) throw new Error(`pool ${pool} was never opened`);
    return parts;
  }

  async close(): Promise<void> {
    this.#stopFollowing();
    this.#rules.close();
    await this.#changes;
    await Promise.all([...this.#parts.values()].map((parts) => parts.close()));
  }

  #apply(catalog: Catalog): void {
    for (const pool of catalog.pools.keys()) {
      if (!this.#parts.has(pool)) this.#parts.set(pool, openPool(this.#world, pool));
      this.#rules.tell(this.require(pool).order, orderRules(catalog, pool));
      if (!this.#taking.has(pool)) this.#take(pool);
    }
    for (const pool of this.#taking) if (!catalog.pools.has(pool)) this.#leave(pool);
  }

  #take(pool: PoolKey): void {
    this.#taking.add(pool);
    this.#enqueue(pool, (taker) => {
      taker.add(this.require(pool));
      return Promise.resolve();
    });
  }

  #leave(pool: PoolKey): void {
    this.#taking.delete(pool);
    this.#enqueue(pool, (taker) => taker.remove(pool));
  }

  #enqueue(pool: PoolKey, change: (taker: PoolTaker) => Promise<void>): void {
    for (const taker of this.#takers) {
      this.#changes = this.#changes.then(() =>
        change(taker).catch((error: unknown) => {
          this.#log.error({ pool, problem: asError(error).message }, 'pool.change_failed');
        }),
      );
    }
  }
}
