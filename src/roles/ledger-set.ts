import type { PoolKey } from '../core/objects.ts';
import type { PoolLiveOrder } from '../queue/live-order/pool-live-order.ts';
import { systemClock } from '../platform/clock.ts';
import { openLedger } from './pool-parts.ts';
import type { ProcessOptions } from './process-options.ts';

/** The ledgers of the pools that a process scales without running their calls, opened when first asked for. */
export class LedgerSet {
  readonly #options: ProcessOptions;
  readonly #orders = new Map<PoolKey, PoolLiveOrder>();

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  /** Never closed before this process ends: a pool that left the catalog is still drained through it. */
  readonly of = (pool: PoolKey): PoolLiveOrder => {
    const known = this.#orders.get(pool);
    if (known) return known;
    const { config, redis, owner, log } = this.#options;
    const outcomeRetentionMs = config.limits.jobResultRetentionMs;
    const { installation } = config;
    const world = { redis, installation, owner, outcomeRetentionMs, clock: systemClock, log, executes: false };
    const order = openLedger(world, pool);
    this.#orders.set(pool, order);
    return order;
  };

  async close(): Promise<void> {
    await Promise.all([...this.#orders.values()].map((order) => order.close()));
  }
}
