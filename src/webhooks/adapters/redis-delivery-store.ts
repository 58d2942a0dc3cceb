import type { RedisClient } from '../../platform/redis/connection.ts';
import type { DeliveryRecord } from '../policy/delivery.ts';
import type { DeliveryPointer, DeliveryStore } from '../ports.ts';

export interface RedisDeliveryStoreOptions {
  readonly client: RedisClient;
  /** Of all its keys. */
  readonly prefix: string;
  /** How long a delivery is tried again. */
  readonly giveUpAfterMs: number;
  /** Unfinished deliveries of one endpoint. Default 10,000. */
  readonly maxPending?: number;
}

const LOG_ENTRIES = 100;
const WEEK_MS = 7 * 86_400_000;
/** Of a delivery that has ended and was pushed out of its log; as long, a notice that is published again makes no other. */
const UNLISTED_MS = 3_600_000;

/** Unfinished deliveries of one endpoint; a receiver that is dead for days is not to fill Redis. */
const MAX_PENDING = 10_000;
const OVERDUE_BATCH = 100;

/**
 * "<prefix>:delivery:<id>": the record as JSON, kept a week after its last change, an unfinished one for all the time it
 * may be tried besides. "<prefix>:log:<endpoint>": its newest deliveries, by time. "<prefix>:pending:<endpoint>": the unfinished ones,
 * by the time until which they are kept. "<prefix>:due": the unfinished ones of all, by the time of the next attempt.
 */
export class RedisDeliveryStore implements DeliveryStore {
  readonly #options: RedisDeliveryStoreOptions;

  constructor(options: RedisDeliveryStoreOptions) {
    this.#options = options;
  }

  async create(record: DeliveryRecord): Promise<'created' | 'known' | 'full'> {
    const { client, maxPending = MAX_PENDING } = this.#options;
    const pending = this.#pendingKey(record.endpointId);
    await client.zremrangebyscore(pending, '-inf', String(record.createdAtEpochMs));
    if ((await client.zcard(pending)) >= maxPending && (await client.exists(this.#key(record.id))) === 0) return 'full';
    const text = JSON.stringify(record);
    const isNew = (await client.set(this.#key(record.id), text, 'PX', this.#pendingMs(), 'NX')) === 'OK';
    if (isNew) await this.#await(record);
    // Also when it is known: whoever made it may have died before this. NX: its place in the log stays.
    const log = this.#logKey(record.endpointId);
    await client.zadd(log, 'NX', String(record.createdAtEpochMs), record.id);
    await client.pexpire(log, this.#pendingMs());
    const surplus = await client.zrange(log, '0', String(-LOG_ENTRIES - 1));
    if (surplus.length > 0) await this.#unlist(log, surplus);
    return isNew ? 'created' : 'known';
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
    if (record.status === 'pending') {
      await this.#await(record);
    } else {
      await client.zrem(this.#pendingKey(record.endpointId), record.id);
      await client.zrem(this.#dueKey, record.id);
    }
  }

  async overdue(beforeEpochMs: number): Promise<readonly DeliveryPointer[]> {
    const { client } = this.#options;
    const ids = await client.zrange(
      this.#dueKey,
      '-inf',
      String(beforeEpochMs),
      'BYSCORE',
      'LIMIT',
      '0',
      String(OVERDUE_BATCH),
    );
    const pointers: DeliveryPointer[] = [];
    for (const id of ids) {
      const record = await this.get(id);
      if (record?.status === 'pending') {
        pointers.push({ id, round: record.round });
        // Behind all others that are overdue.
        await client.zadd(this.#dueKey, 'XX', String(beforeEpochMs + 1), id);
      } else {
        await client.zrem(this.#dueKey, id);
      }
    }
    return pointers;
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
    const pending = this.#pendingKey(endpointId);
    ids.push(...(await client.zrange(pending, '0', '-1')));
    for (const id of ids) await client.del(this.#key(id));
    await client.del(log);
    await client.del(pending);
    // Their entries among the overdue ones go when they are looked at.
  }

  async #await(record: DeliveryRecord): Promise<void> {
    const { client } = this.#options;
    const pending = this.#pendingKey(record.endpointId);
    await client.zadd(pending, String(record.roundStartedAtEpochMs + this.#pendingMs()), record.id);
    await client.pexpire(pending, this.#pendingMs());
    await client.zadd(this.#dueKey, String(record.nextAttemptAtEpochMs ?? record.createdAtEpochMs), record.id);
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

  #pendingKey(endpointId: string): string {
    return `${this.#options.prefix}:pending:${endpointId}`;
  }

  get #dueKey(): string {
    return `${this.#options.prefix}:due`;
  }

  #logKey(endpointId: string): string {
    return `${this.#options.prefix}:log:${endpointId}`;
  }
}
