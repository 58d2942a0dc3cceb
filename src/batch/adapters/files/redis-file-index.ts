import type { RedisClient } from '../../../platform/redis/connection.ts';
import { randomUUID } from 'node:crypto';
import { PilotlightError } from '../../../core/errors.ts';
import type { Page, StoredFile } from '../../../core/files.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { FileIndex, FileListRequest, ListedFile } from '../../files/ports.ts';

const lua = (name: string) => [new URL(`lua/${name}.lua`, import.meta.url)];

const addScript = defineScript({
  files: lua('add'),
  keys: ['all', 'order', 'orderOfPurpose', 'docs', 'totals'],
  args: ['id', 'tenant', 'createdAt', 'expiresAt', 'bytes', 'doc'],
  parse: () => undefined,
});
const removeScript = defineScript({
  files: lua('remove'),
  keys: ['all', 'order', 'docs', 'totals', 'gone'],
  args: ['id', 'goneForMs', 'orderOfPurpose'],
  parse: () => undefined,
});
const pageScript = defineScript({
  files: lua('page'),
  keys: ['order', 'orderToRead', 'docs', 'gone'],
  args: ['after', 'count', 'order'],
  parse: (reply) => reply as readonly (string | null)[] | null,
});
const rebuiltScript = defineScript({
  files: lua('rebuilt'),
  keys: ['building', 'complete'],
  args: ['token'],
  parse: () => undefined,
});
const openUploadScript = defineScript({
  files: lua('open-upload'),
  keys: ['uploads'],
  args: ['id', 'expiresAt', 'now', 'max'],
  parse: (reply) => reply === 1,
});

/** How long a page may begin after a file that was deleted. */
const GONE_FOR_MS = 3_600_000;
/** A rebuild that takes longer is taken for dead, and does not count. */
const REBUILD_FOR_MS = 6 * 3_600_000;

/**
 * | key, after PREFIX:{files}: | type   | is                                            |
 * | -------------------------- | ------ | --------------------------------------------- |
 * | all                        | hash   | id → end of life (0 = never), tenant          |
 * | order:TENANT               | zset   | ids by creation, Unix milliseconds            |
 * | order:TENANT:p:PURPOSE     | zset   | the same of one purpose                       |
 * | docs:TENANT                | hash   | id → the file as JSON                         |
 * | totals:TENANT              | hash   | files, bytes                                  |
 * | uploads:TENANT             | zset   | open uploads by their end                     |
 * | gone:ID                    | string | creation of a file that was deleted, for 1 h  |
 * | complete, building, sweep  | string | see FileIndex                                 |
 */
export class RedisFileIndex implements FileIndex {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:{files}:`;
  }

  add(file: StoredFile): Promise<void> {
    const { id, tenant, purpose, createdAtEpochMs, expiresAtEpochMs, bytes } = file;
    const keys = {
      all: this.#key('all'),
      order: this.#of('order', tenant),
      orderOfPurpose: this.#of('order', tenant, 'p', purpose),
      docs: this.#of('docs', tenant),
      totals: this.#of('totals', tenant),
    };
    const args = {
      id,
      tenant,
      createdAt: createdAtEpochMs,
      expiresAt: expiresAtEpochMs ?? 0,
      bytes,
      doc: JSON.stringify(file),
    };
    return this.#ask(() => addScript(this.#client, { keys, args }));
  }

  remove(id: string, tenant: string): Promise<void> {
    const keys = {
      all: this.#key('all'),
      order: this.#of('order', tenant),
      docs: this.#of('docs', tenant),
      totals: this.#of('totals', tenant),
      gone: this.#key('gone', id),
    };
    const args = { id, goneForMs: GONE_FOR_MS, orderOfPurpose: this.#of('order', tenant, 'p', '') };
    return this.#ask(() => removeScript(this.#client, { keys, args }));
  }

  async totals(tenant: string): Promise<{ readonly files: number; readonly bytes: number }> {
    const [files, bytes] = await this.#ask(() => this.#client.hmget(this.#of('totals', tenant), 'files', 'bytes'));
    return { files: Number(files ?? 0), bytes: Number(bytes ?? 0) };
  }

  async page(tenant: string, { after, limit, purpose, order }: FileListRequest): Promise<Page<StoredFile> | null> {
    const everything = this.#of('order', tenant);
    const keys = {
      order: everything,
      orderToRead: purpose === null ? everything : this.#of('order', tenant, 'p', purpose),
      docs: this.#of('docs', tenant),
      gone: this.#key('gone', after ?? ''),
    };
    const args = { after: after ?? '', count: limit + 1, order };
    const texts = await this.#ask(() => pageScript(this.#client, { keys, args }));
    if (!texts) return null;
    const items = texts.slice(0, limit).flatMap((text) => (text === null ? [] : [JSON.parse(text) as StoredFile]));
    return { items, hasMore: texts.length > limit };
  }

  async listed(ids: readonly string[]): Promise<readonly (ListedFile | null)[]> {
    if (ids.length === 0) return [];
    const texts = await this.#ask(() => this.#client.hmget(this.#key('all'), ...ids));
    return texts.map((text) => {
      if (text === null) return null;
      const space = text.indexOf(' ');
      const expiresAtEpochMs = Number(text.slice(0, space));
      return { tenant: text.slice(space + 1), expiresAtEpochMs: expiresAtEpochMs === 0 ? null : expiresAtEpochMs };
    });
  }

  async isComplete(): Promise<boolean> {
    return (await this.#ask(() => this.#client.exists(this.#key('complete')))) === 1;
  }

  async beginRebuild(): Promise<() => Promise<void>> {
    const token = randomUUID();
    const building = this.#key('building', token);
    await this.#ask(() => this.#client.set(building, token, 'PX', REBUILD_FOR_MS));
    const keys = { building, complete: this.#key('complete') };
    return () => this.#ask(() => rebuiltScript(this.#client, { keys, args: { token } }));
  }

  async leaseSweep(forMs: number): Promise<boolean> {
    // A little shorter than the span: the next round of the same process must not come too early for it.
    const leaseMs = Math.ceil(forMs * 0.9);
    return (await this.#ask(() => this.#client.set(this.#key('sweep'), '1', 'PX', leaseMs, 'NX'))) === 'OK';
  }

  openUpload(tenant: string, id: string, expiresAt: number, now: number, max: number): Promise<boolean> {
    const keys = { uploads: this.#of('uploads', tenant) };
    return this.#ask(() => openUploadScript(this.#client, { keys, args: { id, expiresAt, now, max } }));
  }

  async closeUpload(tenant: string, id: string): Promise<void> {
    await this.#ask(() => this.#client.zrem(this.#of('uploads', tenant), id));
  }

  /** A tenant's name may have colons of its own. */
  #of(name: string, tenant: string, ...names: readonly string[]): string {
    return this.#key(name, encodeURIComponent(tenant), ...names);
  }

  #key(...names: readonly string[]): string {
    return this.#prefix + names.join(':');
  }

  async #ask<T>(command: () => Promise<T>): Promise<T> {
    try {
      return await command();
    } catch (cause) {
      const message = 'The list of files cannot be reached (Redis). Try again.';
      throw new PilotlightError('queue_unavailable', message, { cause });
    }
  }
}
