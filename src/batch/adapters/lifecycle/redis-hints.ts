import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { BatchHints } from './blob-journal.ts';

/** Listeners of Redis channels over a shared subscriber connection. */
export interface Channels {
  listen(channel: string, listener: (message: string) => void): () => void;
}

/** Ids of batches that changed, on "<prefix>:batches:changes". */
export class RedisBatchHints implements BatchHints {
  readonly #client: RedisClient;
  readonly #channels: Channels;
  readonly #channel: string;

  constructor(client: RedisClient, channels: Channels, options: { readonly prefix: string }) {
    this.#client = client;
    this.#channels = channels;
    this.#channel = `${options.prefix}:batches:changes`;
  }

  publish(id: string): void {
    // A hint that does not arrive costs a second, nothing else.
    this.#client.publish(this.#channel, id).catch(() => undefined);
  }

  onHint(listener: (id: string) => void): () => void {
    return this.#channels.listen(this.#channel, listener);
  }
}
