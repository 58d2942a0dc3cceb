import type { Redis } from 'ioredis';

/** Listeners of Redis channels over one shared subscriber connection. */
export class RedisChannels {
  readonly #subscriber: Redis;
  readonly #listeners = new Map<string, Set<(message: string) => void>>();

  constructor(subscriber: Redis) {
    this.#subscriber = subscriber;
    subscriber.on('message', (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message);
    });
  }

  /** Calls back with each message. Messages sent while Redis is away are lost. Returns the way to stop. */
  listen(channel: string, listener: (message: string) => void): () => void {
    const known = this.#listeners.get(channel);
    const listeners = known ?? new Set();
    listeners.add(listener);
    if (!known) {
      this.#listeners.set(channel, listeners);
      // A failure here is a lost connection: ioredis subscribes again when it is back.
      this.#subscriber.subscribe(channel).catch(() => undefined);
    }
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      this.#listeners.delete(channel);
      this.#subscriber.unsubscribe(channel).catch(() => undefined);
    };
  }
}
