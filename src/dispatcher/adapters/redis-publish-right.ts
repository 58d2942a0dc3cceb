import type { Redis } from 'ioredis';
import type { Clock } from '../../core/clock.ts';
import { defineScript } from '../../platform/redis/script.ts';
import type { PublishRight } from '../ports.ts';

/** Without a renewal the right ends after this in Redis; its holder stops relying on it a third earlier. */
const HELD_MS = 3_000;
const TRUSTED_MS = 2_000;
const RENEW_EVERY_MS = 1_000;

const claim = defineScript({
  files: [new URL('./claim-right.lua', import.meta.url)],
  keys: ['right'],
  args: ['owner', 'heldMs'],
  parse: (reply) => reply === 1,
});
const giveUp = defineScript({
  files: [new URL('./give-up-right.lua', import.meta.url)],
  keys: ['right'],
  args: ['owner'],
  parse: () => undefined,
});

export interface RedisPublishRightOptions {
  readonly command: Redis;
  /** Shares the pool's hash tag. */
  readonly key: string;
  /** Unique per run of a process. */
  readonly owner: string;
  readonly clock: Clock;
}

/**
 * A right in Redis that one process holds at a time and that passes on within 3 s after its holder died, or at once when
 * it is closed. While Redis does not answer nobody holds it: nothing could be published anyway.
 */
export class RedisPublishRight implements PublishRight {
  readonly #options: RedisPublishRightOptions;
  readonly #listeners = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #running: Promise<void>;
  #trustedUntilMs = Number.NEGATIVE_INFINITY;
  #wasHeld = false;

  constructor(options: RedisPublishRightOptions) {
    this.#options = options;
    this.#running = this.#keep();
  }

  isHeld(): boolean {
    return this.#options.clock.monotonicMs() < this.#trustedUntilMs;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
    const wasHeld = this.isHeld();
    this.#trustedUntilMs = Number.NEGATIVE_INFINITY;
    const { command, key, owner } = this.#options;
    if (wasHeld) await giveUp(command, { keys: { right: key }, args: { owner } }).catch(() => undefined);
  }

  async #keep(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await this.#claim();
      this.#tell();
      await clock.sleep(RENEW_EVERY_MS, signal).catch(() => undefined);
    }
  }

  async #claim(): Promise<void> {
    const { command, key, owner, clock } = this.#options;
    // Trusted from before the question was asked: the answer may have been long on its way.
    const askedMs = clock.monotonicMs();
    try {
      const isOurs = await claim(command, { keys: { right: key }, args: { owner, heldMs: HELD_MS } });
      this.#trustedUntilMs = isOurs ? askedMs + TRUSTED_MS : Number.NEGATIVE_INFINITY;
    } catch {
      // Redis is away: what was held runs out by itself.
    }
  }

  #tell(): void {
    const isHeld = this.isHeld();
    if (isHeld === this.#wasHeld) return;
    this.#wasHeld = isHeld;
    for (const listener of this.#listeners) listener();
  }
}
