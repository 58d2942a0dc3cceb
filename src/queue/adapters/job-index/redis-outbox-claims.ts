import type { Redis } from 'ioredis';
import type { OutboxClaims } from '../../jobs/outbox.ts';

/** "<prefix>:announcing:<job id>" exists while one process announces that end, or while it has to wait. */
export class RedisOutboxClaims implements OutboxClaims {
  readonly #client: Redis;
  readonly #prefix: string;

  constructor(client: Redis, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:announcing:`;
  }

  async claim(ids: readonly string[], ttlMs: number): Promise<ReadonlySet<string>> {
    const pipeline = this.#client.pipeline();
    for (const id of ids) pipeline.set(this.#prefix + id, '1', 'PX', ttlMs, 'NX');
    const replies = (await pipeline.exec()) ?? [];
    return new Set(
      ids.filter((_, place) => {
        const [error, reply] = replies[place] ?? [new Error('Redis sent no answer'), null];
        if (error) throw error;
        return reply === 'OK';
      }),
    );
  }

  async defer(id: string, forMs: number): Promise<void> {
    await this.#client.set(this.#prefix + id, '1', 'PX', forMs);
  }
}
