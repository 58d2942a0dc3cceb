import type { Redis } from 'ioredis';
import type { DeliveryRecord } from '../policy/delivery.ts';
import type { DeliveryStore } from '../ports.ts';

export interface RedisDeliveryStoreOptions {
  readonly client: Redis;
  /** Of all its keys. */
  readonly prefix: string;
  /** How long a delivery is tried again. */
  readonly giveUpAfterMs: number;
}

const LOG_ENTRIES = 100;
const WEEK_MS = 7 * 86_400_000;
/** Of a delivery that has ended and was pushed out of its log; as long, a notice that is published again makes no other. */
const UNLISTED_MS = 3_600_000;

/**
 * "<prefix>:delivery:<id>": the record as JSON, kept a week after its last change, an unfinished one for all the time it
 * may be tried besides. "<prefix>:log:<endpoint>": its newest deliveries, by time.
 */
export class RedisDeliveryStore implements DeliveryStore {
  readonly #options: RedisDeliveryStoreOptions;

  constructor(options: RedisDeliveryStoreOptions) {
    this.#options = options;
  }

  async create(record: DeliveryRecord): Promise<boolean> {
    const { client } = this.#options;
    const text = JSON.stringify(record);
    const isNew = (await client.set(this.#key(record.id), text, 'PX', this.#pendingMs(), 'NX')) === 'OK';
    // Also when it is known: whoever made it may have died before this. NX: its place in the log stays.
    const log = this.#logKey(record.endpointId);
    await client.zadd(log, 'NX', String(record.createdAtEpochMs), record.id);
    await client.pexpire(log, this.#pendingMs());
    const surplus = await client.zrange(log, '0', String(-LOG_ENTRIES - 1));
    if (surplus.length > 0) await this.#unlist(log, surplus);
    return isNew;
  }

  async get(id: string): Promise<DeliveryRecord | null> {
    const text = await this.#options.client.get(this.#key(id));
    return text === null ? null : (JSON.parse(text) as DeliveryRecord);
  }

  async save(record: DeliveryRecord): Promise<void> {
    const { client } = this.#options;
    const isListed = (await client.zscore(this.#logKey(record.endpointId), record.id)) !== null;
    const endedMs = isListed ? WEEK_MS : UNLISTED_MS;
    const keptMs = record.status === 'pending' ? this.#pendingMs() : endedMs;
    await client.set(this.#key(record.id), JSON.stringify(record), 'PX', keptMs);
  }

  async log(endpointId: string): Promise<readonly DeliveryRecord[]> {
    const { client } = this.#options;
    const ids = await client.zrange(this.#logKey(endpointId), '0', String(LOG_ENTRIES - 1), 'REV');
    const records = await Promise.all(ids.map((id) => this.get(id)));
    return records.filter((record) => record !== null);
  }

  async forget(endpointId: string): Promise<void> {
    const { client } = this.#options;
    const log = this.#logKey(endpointId);
    const ids = await client.zrange(log, '0', '-1');
    for (const id of ids) await client.del(this.#key(id));
    await client.del(log);
  }

  async #unlist(log: string, ids: readonly string[]): Promise<void> {
    const { client } = this.#options;
    await client.zrem(log, ...ids);
    for (const id of ids) {
      const record = await this.get(id);
      if (record && record.status !== 'pending') await client.pexpire(this.#key(id), UNLISTED_MS);
    }
  }

  #pendingMs(): number {
    return this.#options.giveUpAfterMs + WEEK_MS;
  }

  #key(id: string): string {
    return `${this.#options.prefix}:delivery:${id}`;
  }

  #logKey(endpointId: string): string {
    return `${this.#options.prefix}:log:${endpointId}`;
  }
}
