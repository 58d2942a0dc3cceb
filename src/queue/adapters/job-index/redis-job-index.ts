import type { Redis } from 'ioredis';
import type { JobIndex, JobPlace } from '../../jobs/ports.ts';

/** "<prefix>:job:<id>" → place as JSON, outside the pool's hash tag: an id alone has to lead to its pool. */
export class RedisJobIndex implements JobIndex {
  readonly #client: Redis;
  readonly #prefix: string;

  constructor(client: Redis, prefix: string) {
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
    const pipeline = this.#client.pipeline();
    for (const id of ids) pipeline.exists(this.#prefix + id);
    const replies = (await pipeline.exec()) ?? [];
    return new Set(ids.filter((_, place) => answerOf(replies[place]) === 0));
  }

  async expire(ids: readonly string[], ttlMs: number): Promise<void> {
    const pipeline = this.#client.pipeline();
    for (const id of ids) pipeline.pexpire(this.#prefix + id, ttlMs);
    for (const reply of (await pipeline.exec()) ?? []) answerOf(reply);
  }
}

/** A pipeline resolves whatever happens; a failure of one command is a failure of all here. */
function answerOf(reply: [Error | null, unknown] | undefined): unknown {
  if (!reply) throw new Error('Redis sent no answer');
  if (reply[0]) throw reply[0];
  return reply[1];
}
