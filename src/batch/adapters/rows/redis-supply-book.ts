import type { RedisClient } from '../../../platform/redis/connection.ts';
import { PilotlightError } from '../../../core/errors.ts';
import { fairUnits, tagOf, timeAfter } from '../../../core/fair-tag.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import { SUPPLY_TTL_MS, type SupplyBook, type SupplyPlace, type SupplyWish } from '../../rows/ports.ts';

/** A queue of chunks that nobody asked about for so long begins at virtual time zero again. */
const IDLE_MS = 600_000;

const file = (name: string): URL => new URL(`lua/${name}.lua`, import.meta.url);

const turnScript = defineScript({
  files: [file('turn')],
  keys: ['clock', 'order', 'asked'],
  args: ['batch', 'deadline', 'units', 'tenant', 'ttlMs', 'idleMs', 'isKept'],
  parse: (reply) => (reply === null ? null : Number(reply)),
});

const openedScript = defineScript({
  files: [file('opened')],
  keys: ['clock'],
  args: ['virtual', 'idleMs'],
  parse: Number,
});

/** The supply book in Redis, under "<prefix>:{rows/<pool>/<objective>}:"; the tag's rule is core/fair-tag.ts. */
export class RedisSupplyBook implements SupplyBook {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  async turn(place: SupplyPlace, wish: SupplyWish): Promise<number | null> {
    const start = await this.#ask(place, wish, false);
    return start === null ? null : tagOf(start);
  }

  async keep(place: SupplyPlace, wish: SupplyWish): Promise<void> {
    await this.#ask(place, wish, true);
  }

  #ask(place: SupplyPlace, wish: SupplyWish, isKept: boolean): Promise<number | null> {
    const units = fairUnits(wish.costTokens, wish.weight);
    return reached(() =>
      turnScript(this.#client, {
        keys: { clock: this.#clockKey(place.pool, place.objective), ...this.#tenantKeys(place) },
        args: {
          batch: wish.batchId,
          deadline: wish.deadlineEpochMs,
          units,
          tenant: place.tenant,
          ttlMs: SUPPLY_TTL_MS,
          idleMs: IDLE_MS,
          isKept: isKept ? 1 : 0,
        },
      }),
    );
  }

  async leave(place: SupplyPlace, batchId: string): Promise<void> {
    const { order, asked } = this.#tenantKeys(place);
    await reached(() => this.#client.multi().zrem(order, batchId).hdel(asked, batchId).exec());
  }

  async opened(pool: PoolKey, objective: string, tag: number): Promise<void> {
    const args = { virtual: timeAfter(0, tag), idleMs: IDLE_MS };
    await reached(() => openedScript(this.#client, { keys: { clock: this.#clockKey(pool, objective) }, args }));
  }

  #clockKey(pool: PoolKey, objective: string): string {
    return `${this.#prefix}:{rows/${pool}/${objective}}:clock`;
  }

  #tenantKeys({ pool, objective, tenant }: SupplyPlace): { readonly order: string; readonly asked: string } {
    const root = `${this.#prefix}:{rows/${pool}/${objective}}`;
    const name = encodeURIComponent(tenant);
    return { order: `${root}:order:${name}`, asked: `${root}:asked:${name}` };
  }
}

async function reached<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    const text = 'The order of chunks cannot be reached: Redis does not answer.';
    throw new PilotlightError('queue_unavailable', text, { cause: error, retryAfterMs: 2_000 });
  }
}
