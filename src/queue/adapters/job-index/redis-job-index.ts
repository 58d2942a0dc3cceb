import type { RedisClient } from '../../../platform/redis/connection.ts';
import { sendMany } from '../../../platform/redis/many.ts';
import type { JobIndex, JobPlace } from '../../jobs/ports.ts';

/** "<prefix>:job:<id>" → place as JSON, outside the pool's hash tag: an id alone has to lead to its pool. */
export class RedisJobIndex implements JobIndex {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:job:`;
  }

  async put(id: string, place: JobPlace, ttlMs?: number): Promise<void> {
    const text = JSON.stringify(place);
    if (ttlMs === undefined) await this.#client.set(this.#prefix + id, text);
    else await this.#client.set(this.#prefix + id, text, 'PX', ttlMs);
  }

  async get(id: string): Promise<JobPlace | null> {
    const text = await this.#client.get(this.#prefix + id);
    return text === null ? null : (JSON.parse(text) as JobPlace);
  }

  async missing(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const replies = await sendMany(
      this.#client,
      ids.map((id) => ['exists', this.#prefix + id]),
    );
    return new Set(ids.filter((_, place) => Number(replies[place]) === 0));
  }

  async expire(ids: readonly string[], ttlMs: number): Promise<void> {
    await sendMany(
      this.#client,
      ids.map((id) => ['pexpire', this.#prefix + id, ttlMs]),
    );
  }
}
