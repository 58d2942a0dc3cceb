import type { Redis } from 'ioredis';
import type { JobIndex, JobPlace } from '../../jobs/ports.ts';

/**
 * "<prefix>:job:<id>" → place, a small hash of its own outside the pool's hash tag: an id alone has to lead to its pool.
 * Fields: p pool, o objective, t tenant, a accept reference, c accepted at (epoch ms), b body bytes.
 */
export class RedisJobIndex implements JobIndex {
  readonly #client: Redis;
  readonly #prefix: string;

  constructor(client: Redis, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:job:`;
  }

  async put(id: string, place: JobPlace): Promise<void> {
    await this.#client.hset(
      this.#prefix + id,
      'p',
      place.pool,
      'o',
      place.objective,
      't',
      place.tenant,
      'a',
      place.acceptRef,
      'c',
      place.acceptedAtEpochMs,
      'b',
      place.bodyBytes,
    );
  }

  async get(id: string): Promise<JobPlace | null> {
    const { p, o, t, a, c, b } = await this.#client.hgetall(this.#prefix + id);
    if (p === undefined || o === undefined || t === undefined || a === undefined) return null;
    return { pool: p, objective: o, tenant: t, acceptRef: a, acceptedAtEpochMs: Number(c), bodyBytes: Number(b) };
  }

  async expire(ids: readonly string[], ttlMs: number): Promise<void> {
    const pipeline = this.#client.pipeline();
    for (const id of ids) pipeline.pexpire(this.#prefix + id, ttlMs);
    await pipeline.exec();
  }
}
