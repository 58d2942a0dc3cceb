import type { RedisClient } from '../../../platform/redis/connection.ts';
import { sendMany } from '../../../platform/redis/many.ts';
import type { OutboxClaims } from '../../jobs/outbox.ts';

/** "<prefix>:announcing:<job id>" exists while one process announces that end, or while it has to wait. */
export class RedisOutboxClaims implements OutboxClaims {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = `${prefix}:announcing:`;
  }

  async claim(ids: readonly string[], ttlMs: number): Promise<ReadonlySet<string>> {
    const replies = await sendMany(
      this.#client,
      ids.map((id) => ['set', this.#prefix + id, '1', 'PX', ttlMs, 'NX']),
    );
    return new Set(ids.filter((_, place) => replies[place] === 'OK'));
  }

  async defer(id: string, forMs: number): Promise<void> {
    await this.#client.set(this.#prefix + id, '1', 'PX', forMs);
  }
}
