import type { RedisClient } from '../../platform/redis/connection.ts';
import { createHash, randomUUID } from 'node:crypto';
import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { EndpointRecord } from '../policy/endpoint.ts';
import type { EndpointChange, EndpointStore } from '../ports.ts';

export interface BlobEndpointStoreOptions {
  readonly blobs: BlobStore;
  readonly client: RedisClient;
  /** Of all its keys in Redis. */
  readonly prefix: string;
  readonly clock: Clock;
}

/** A copy that missed a change, because Redis lost it in a fail-over, is right again after this. */
const COPY_MS = 600_000;
/** A lock whose holder died. */
const LOCK_MS = 30_000;
const LOCK_WITHIN_MS = 10_000;
const LOCK_POLL_MS = 25;
const READS_AT_ONE_TIME = 16;

const UNLOCK = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * Endpoints in the blob store, one blob each: "webhooks/<hash of the tenant>/<id>.json". Redis holds a copy of each
 * tenant's list, so that an end that nobody wants to hear of costs one read; and the lock that makes changes of one
 * tenant happen one after the other. Secrets are in both: whoever reads the store or Redis can sign.
 */
export class BlobEndpointStore implements EndpointStore {
  readonly #options: BlobEndpointStoreOptions;
  readonly #copying = new Map<string, Promise<readonly EndpointRecord[]>>();

  constructor(options: BlobEndpointStoreOptions) {
    this.#options = options;
  }

  async all(tenant: string): Promise<readonly EndpointRecord[]> {
    const copy = await this.#copy(tenant);
    if (copy) return copy;
    // Those who ask meanwhile get the same answer.
    const known = this.#copying.get(tenant);
    if (known) return known;
    const copying = this.#makeCopy(tenant).finally(() => this.#copying.delete(tenant));
    this.#copying.set(tenant, copying);
    return copying;
  }

  async change<T>(
    tenant: string,
    decide: (records: readonly EndpointRecord[]) => EndpointChange<T> | Promise<EndpointChange<T>>,
  ): Promise<T> {
    const { blobs, client } = this.#options;
    return this.#locked(tenant, async () => {
      const { put, remove, answer } = await decide(await this.#load(tenant));
      if (put) await blobs.put(blobKey(tenant, put.id), one(Buffer.from(JSON.stringify(put))));
      if (remove !== undefined) await blobs.delete(blobKey(tenant, remove));
      if (put || remove !== undefined) await asked(() => client.del(this.#copyKey(tenant)));
      return answer;
    });
  }

  async #copy(tenant: string): Promise<readonly EndpointRecord[] | null> {
    const copy = await asked(() => this.#options.client.get(this.#copyKey(tenant)));
    return copy === null ? null : (JSON.parse(copy) as readonly EndpointRecord[]);
  }

  #makeCopy(tenant: string): Promise<readonly EndpointRecord[]> {
    return this.#locked(tenant, async () => {
      const made = await this.#copy(tenant);
      if (made) return made;
      const records = await this.#load(tenant);
      await asked(() => this.#options.client.set(this.#copyKey(tenant), JSON.stringify(records), 'PX', COPY_MS));
      return records;
    });
  }

  async #load(tenant: string): Promise<readonly EndpointRecord[]> {
    const { blobs } = this.#options;
    const keys: string[] = [];
    for await (const { key } of blobs.list(`${folderOf(tenant)}/`)) keys.push(key);
    const records: EndpointRecord[] = [];
    for (let at = 0; at < keys.length; at += READS_AT_ONE_TIME) {
      const read = await Promise.all(keys.slice(at, at + READS_AT_ONE_TIME).map((key) => blobs.readAll(key)));
      for (const bytes of read) if (bytes) records.push(JSON.parse(Buffer.from(bytes).toString()) as EndpointRecord);
    }
    return records.sort((a, b) => a.createdAtEpochMs - b.createdAtEpochMs || (a.id < b.id ? -1 : 1));
  }

  async #locked<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const { client, prefix, clock } = this.#options;
    const key = `${prefix}:lock:${hashOf(tenant)}`;
    const token = randomUUID();
    const untilMs = clock.monotonicMs() + LOCK_WITHIN_MS;
    while ((await asked(() => client.set(key, token, 'PX', LOCK_MS, 'NX'))) === null) {
      if (clock.monotonicMs() >= untilMs) {
        const message = 'The webhook endpoints are being changed by somebody else; try again.';
        throw new PilotlightError('store_unavailable', message, { retryAfterMs: 2_000 });
      }
      await clock.sleep(LOCK_POLL_MS);
    }
    try {
      return await work();
    } finally {
      // Else it runs out.
      await client.eval(UNLOCK, 1, key, token).catch(() => undefined);
    }
  }

  #copyKey(tenant: string): string {
    return `${this.#options.prefix}:endpoints:${hashOf(tenant)}`;
  }
}

function blobKey(tenant: string, id: string): string {
  return `${folderOf(tenant)}/${id}.json`;
}

function folderOf(tenant: string): string {
  return `webhooks/${hashOf(tenant)}`;
}

/** Names of tenants never become part of a key. */
function hashOf(tenant: string): string {
  return createHash('sha256').update(tenant).digest('hex').slice(0, 32);
}

// eslint-disable-next-line @typescript-eslint/require-await -- the store takes a stream
async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new PilotlightError('queue_unavailable', 'Webhooks cannot be looked up: Redis does not answer.', {
      cause: error,
      retryAfterMs: 2_000,
    });
  }
}
