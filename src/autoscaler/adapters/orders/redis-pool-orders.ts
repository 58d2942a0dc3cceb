import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { Clock } from '../../../core/clock.ts';
import { asError, PilotlightError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../../core/pool-orders.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import { Nap } from '../../nap.ts';
import { inForce, isOrder } from '../../policy/order-rules.ts';
import type { Channels } from '../board/channels.ts';
import { installationKey, type RedisPlace } from '../board/keys.ts';
import { checkedChange, OrderListeners } from './checked.ts';

export interface RedisPoolOrdersDeps {
  /** Purpose `command`. */
  readonly client: RedisClient;
  readonly channels: Channels;
  readonly place: RedisPlace;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A message that was lost is made up for this soon. */
const READ_EVERY_MS = 5_000;
/** Pools that may have orders at once. */
const MOST_POOLS = 10_000;

const changeOrder = defineScript({
  files: [new URL('./lua/change-order.lua', import.meta.url)],
  keys: ['orders'],
  args: ['pool', 'change', 'mostPools', 'channel'],
  parse: (reply) => reply === 1,
});

/** Orders of people in one hash of Redis, for an installation whose objects are files. */
export class RedisPoolOrders implements PoolOrders {
  readonly #deps: RedisPoolOrdersDeps;
  readonly #key: string;
  readonly #channel: string;
  readonly #listeners = new OrderListeners();
  readonly #nap: Nap;
  readonly #stopped = new AbortController();
  /** As stored: JSON by pool. */
  #stored: Readonly<Record<PoolKey, string>> = {};
  #orders: ReadonlyMap<PoolKey, PoolOrder> = new Map();
  #isFailing = false;
  #running: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => undefined;

  constructor(deps: RedisPoolOrdersDeps) {
    this.#deps = deps;
    this.#key = installationKey(deps.place, 'orders');
    this.#channel = `${this.#key}:changed`;
    this.#nap = new Nap(deps.clock);
  }

  /** Resolves after the first read, whatever came of it. */
  async start(): Promise<void> {
    this.#unlisten = this.#deps.channels.listen(this.#channel, () => this.#nap.wake());
    await this.#read();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopped.abort();
    this.#nap.wake();
    await this.#running;
  }

  of(pool: PoolKey): PoolOrder {
    const order = this.#orders.get(pool);
    if (order === undefined) return NO_ORDER;
    const left = inForce(order, this.#deps.clock.epochMs());
    return isOrder(left) ? left : NO_ORDER;
  }

  /** Throws `invalid_value` for a change that cannot be, `store_unavailable` when Redis does not take it. */
  async set(pool: PoolKey, change: Partial<PoolOrder>): Promise<void> {
    const checked = checkedChange(change, this.#deps.clock.epochMs());
    const args = { pool, change: JSON.stringify(checked), mostPools: MOST_POOLS, channel: this.#channel };
    const isStored = await changeOrder(this.#deps.client, { keys: { orders: this.#key }, args }).catch(
      (cause: unknown) => {
        const message = `The order for pool ${pool} may not have been stored: Redis does not answer. Give it again.`;
        throw new PilotlightError('store_unavailable', message, { cause });
      },
    );
    if (!isStored) {
      const message = `pool: ${MOST_POOLS} pools have orders already. Take one back first.`;
      throw new PilotlightError('invalid_value', message, { param: 'pool' });
    }
    await this.#read();
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    return this.#listeners.add(listener);
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#nap.take(READ_EVERY_MS);
      await this.#read();
    }
  }

  /** What cannot be read stays as last heard. */
  async #read(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    const { client, log } = this.#deps;
    const before = this.#stored;
    try {
      const stored = await client.hgetall(this.#key);
      this.#stored = stored;
      this.#orders = new Map(Object.entries(stored).map(([pool, text]) => [pool, parseOrder(text)]));
      this.#isFailing = false;
    } catch (thrown) {
      if (!this.#isFailing) log.warn({ error: asError(thrown).message }, 'orders.read_failed');
      this.#isFailing = true;
    }
    for (const pool of new Set([...Object.keys(before), ...Object.keys(this.#stored)])) {
      if (before[pool] !== this.#stored[pool]) this.#listeners.tell(pool);
    }
  }
}

/** Fields that are not what they should be order nothing. */
function parseOrder(text: string): PoolOrder {
  let read: Partial<Record<keyof PoolOrder, unknown>> = {};
  try {
    read = (JSON.parse(text) ?? {}) as typeof read;
  } catch {
    return NO_ORDER;
  }
  const numberOr = <T>(value: unknown, other: T): number | T => (typeof value === 'number' ? value : other);
  return {
    wakeUntilEpochMs: numberOr(read.wakeUntilEpochMs, null),
    wakeReplicas: numberOr(read.wakeReplicas, 0),
    drainUntilEpochMs: numberOr(read.drainUntilEpochMs, null),
    paused: read.paused === true,
    by: typeof read.by === 'string' ? read.by : null,
  };
}
