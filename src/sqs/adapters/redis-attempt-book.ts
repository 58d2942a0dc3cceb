import type { RedisClient } from '../../platform/redis/connection.ts';
import type { AttemptBook } from '../ports.ts';

/** The longest that SQS keeps a message. */
const KEPT_S = 14 * 86_400;

/** One counter for each message that came often. */
export class RedisAttemptBook implements AttemptBook {
  readonly #client: Pick<RedisClient, 'multi' | 'decr'>;
  readonly #prefix: string;

  constructor(client: Pick<RedisClient, 'multi' | 'decr'>, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  async begin(messageId: string): Promise<number> {
    const key = this.#keyOf(messageId);
    const replies = await this.#client.multi().incr(key).expire(key, KEPT_S).exec();
    const [error, count] = replies?.[0] ?? [new Error('the transaction was dropped')];
    if (error) throw error;
    return Number(count);
  }

  async undo(messageId: string): Promise<void> {
    await this.#client.decr(this.#keyOf(messageId));
  }

  #keyOf(messageId: string): string {
    return `${this.#prefix}:sqs:attempts:${messageId.slice(0, 128)}`;
  }
}
