import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { BatchStatus } from '../../../core/batches.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { PageRequest } from '../../../core/files.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { BatchIndex, IdPage } from '../../lifecycle/ports.ts';
import { openRows, removeAtEpochMs } from '../../policy/lifecycle/retention.ts';
import type { BatchDoc } from '../../ports.ts';

/** A copy of an ended batch; later it is read from the store again. */
const ENDED_COPY_MS = 24 * 3_600_000;
const SCAN_IDS = 500;

const lua = (name: string) => [new URL(`./lua/${name}.lua`, import.meta.url)];
const putDoc = defineScript({
  files: lua('put-doc'),
  keys: ['doc'],
  args: ['generation', 'json', 'lifetimeMs'],
  parse: Number,
});
const putTenant = defineScript({
  files: lua('put-tenant'),
  keys: ['list', 'status', 'open'],
  args: ['id', 'generation', 'createdMs', 'status', 'rows'],
  parse: Number,
});
const putAll = defineScript({
  files: lua('put-all'),
  keys: ['known', 'live', 'ended'],
  args: ['id', 'generation', 'createdMs', 'needsKeeper', 'removeAtMs', 'tenant'],
  parse: Number,
});

/**
 * Keys below "<prefix>:batches:": `{<id>}:doc`; of a tenant `{t.<tenant>}:list`, `:status`, `:open`; of all `{all}:known`,
 * `:live`, `:ended`, `:complete`.
 */
export class RedisBatchIndex implements BatchIndex {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #fileRetentionMs: number;

  constructor(client: RedisClient, options: { readonly prefix: string; readonly fileRetentionMs: number }) {
    this.#client = client;
    this.#prefix = `${options.prefix}:batches:`;
    this.#fileRetentionMs = options.fileRetentionMs;
  }

  put(doc: BatchDoc): Promise<void> {
    const { id, generation } = doc;
    const createdMs = doc.createdAtEpochMs;
    const tenant = this.#tenant(doc.identity.tenant);
    return reached(async () => {
      // What all have comes last: a generation that is known there is in every other place.
      await Promise.all([
        putDoc(this.#client, {
          keys: { doc: this.#docKey(id) },
          args: { generation, json: JSON.stringify(doc), lifetimeMs: doc.settled ? ENDED_COPY_MS : 0 },
        }),
        putTenant(this.#client, {
          keys: { list: `${tenant}list`, status: `${tenant}status`, open: `${tenant}open` },
          args: { id, generation, createdMs, status: doc.status, rows: openRows(doc) ?? -1 },
        }),
      ]);
      await putAll(this.#client, {
        keys: { known: this.#all('known'), live: this.#all('live'), ended: this.#all('ended') },
        args: {
          id,
          generation,
          createdMs,
          needsKeeper: doc.settled ? 0 : 1,
          removeAtMs: removeAtEpochMs(doc, this.#fileRetentionMs) ?? -1,
          tenant: doc.identity.tenant,
        },
      });
    });
  }

  async read(id: string): Promise<BatchDoc | null> {
    return docOf(await reached(() => this.#client.get(this.#docKey(id))));
  }

  async readMany(ids: readonly string[]): Promise<readonly (BatchDoc | null)[]> {
    if (ids.length === 0) return [];
    const texts = await reached(() => Promise.all(ids.map((id) => this.#client.get(this.#docKey(id)))));
    return texts.map(docOf);
  }

  list(tenant: string, page: PageRequest & { readonly status: BatchStatus | null }): Promise<IdPage | null> {
    const { after, limit, status } = page;
    const keys = this.#tenant(tenant);
    return reached(async () => {
      const rank = after === null ? -1 : await this.#client.zrevrank(`${keys}list`, after);
      if (rank === null) return null;
      const found: string[] = [];
      for (let first = rank + 1; found.length <= limit; first += SCAN_IDS) {
        const size = status === null ? Math.min(SCAN_IDS, limit + 1) : SCAN_IDS;
        const ids = await this.#client.zrevrange(`${keys}list`, first, first + size - 1);
        if (ids.length === 0) break;
        const states = status === null ? null : await this.#client.hmget(`${keys}status`, ...ids);
        found.push(...ids.filter((_, place) => states === null || states[place]?.split(' ')[1] === status));
        if (ids.length < size || status === null) break;
      }
      return { ids: found.slice(0, limit), hasMore: found.length > limit };
    });
  }

  async open(tenant: string): Promise<readonly { readonly id: string; readonly rows: number }[]> {
    const entries = await reached(() => this.#client.hgetall(`${this.#tenant(tenant)}open`));
    return Object.entries(entries).map(([id, rows]) => ({ id, rows: Number(rows) }));
  }

  live(): Promise<readonly string[]> {
    return reached(() => this.#client.zrange(this.#all('live'), '0', '-1'));
  }

  removable(beforeEpochMs: number, limit: number): Promise<readonly string[]> {
    const before = String(beforeEpochMs);
    return reached(() =>
      this.#client.zrange(this.#all('ended'), '-inf', before, 'BYSCORE', 'LIMIT', '0', String(limit)),
    );
  }

  async known(ids: readonly string[]): Promise<readonly number[]> {
    if (ids.length === 0) return [];
    const values = await reached(() => this.#client.hmget(this.#all('known'), ...ids));
    return values.map((value) => Number(value?.split(' ')[0] ?? 0));
  }

  async remove(id: string): Promise<void> {
    await reached(async () => {
      const known = await this.#client.hget(this.#all('known'), id);
      if (known !== null) {
        const tenant = this.#tenant(known.slice(known.indexOf(' ') + 1));
        await Promise.all([
          this.#client.zrem(`${tenant}list`, id),
          this.#client.hdel(`${tenant}status`, id),
          this.#client.hdel(`${tenant}open`, id),
        ]);
      }
      await Promise.all([this.#client.del(this.#docKey(id)), this.#client.zrem(this.#all('live'), id)]);
      // Last, for until then the next sweep finds it again.
      await this.#client.hdel(this.#all('known'), id);
      await this.#client.zrem(this.#all('ended'), id);
    });
  }

  async isComplete(): Promise<boolean> {
    return (await reached(() => this.#client.exists(this.#all('complete')))) === 1;
  }

  async markComplete(): Promise<void> {
    await reached(() => this.#client.set(this.#all('complete'), '1'));
  }

  #docKey(id: string): string {
    return `${this.#prefix}{${id}}:doc`;
  }

  #tenant(tenant: string): string {
    return `${this.#prefix}{t.${tenant}}:`;
  }

  #all(what: 'known' | 'live' | 'ended' | 'complete'): string {
    return `${this.#prefix}{all}:${what}`;
  }
}

function docOf(text: string | null): BatchDoc | null {
  return text === null ? null : (JSON.parse(text.slice(text.indexOf(' ') + 1)) as BatchDoc);
}

/** What the command answered, or `queue_unavailable`. */
export async function reached<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (error) {
    const message = 'Redis, which knows where batches are, does not answer. Try again in a moment.';
    throw new PilotlightError('queue_unavailable', message, { retryAfterMs: 1_000, cause: error });
  }
}
