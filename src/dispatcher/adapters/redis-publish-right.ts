import type { Clock } from '../../core/clock.ts';
import type { RedisClient } from '../../platform/redis/connection.ts';
import { defineScript } from '../../platform/redis/script.ts';
import type { EndpointKnowledge, PublishRight } from '../ports.ts';

/** Without a renewal the right ends after this in Redis; its holder stops relying on it a third earlier. */
const HELD_MS = 3_000;
const TRUSTED_MS = 2_000;
const RENEW_EVERY_MS = 1_000;

const claim = defineScript({
  files: [new URL('./claim-right.lua', import.meta.url)],
  keys: ['right'],
  args: ['owner', 'heldMs', 'knowledge'],
  parse: (reply) => reply === 1,
});
const giveUp = defineScript({
  files: [new URL('./give-up-right.lua', import.meta.url)],
  keys: ['right'],
  args: ['owner'],
  parse: () => undefined,
});

export interface RedisPublishRightOptions {
  readonly command: RedisClient;
  /** Shares the pool's hash tag. */
  readonly key: string;
  /** Unique per run of a process. */
  readonly owner: string;
  readonly clock: Clock;
  /** Absent: always live. */
  readonly knowledge?: () => EndpointKnowledge;
}

/**
 * A right in Redis that one process holds at a time and that passes on within 3 s after its holder died, or at once when
 * it is closed. While Redis does not answer nobody holds it: nothing could be published anyway. A process that knows
 * nothing never holds it, and one that knows what was holds it only while nobody knows what is.
 */
export class RedisPublishRight implements PublishRight {
  readonly #options: RedisPublishRightOptions;
  readonly #listeners = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #running: Promise<void>;
  #trustedUntilMs = Number.NEGATIVE_INFINITY;
  #wasHeld = false;
  /** When nobody else can rely on it any more (monotonic). */
  #aloneAtMs = Number.POSITIVE_INFINITY;

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
    if (wasHeld) await this.#giveUp();
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
    const knowledge = this.#options.knowledge?.() ?? 'live';
    if (knowledge === 'none') {
      if (this.isHeld()) await this.#giveUp();
      return;
    }
    // Trusted from before the question was asked: the answer may have been long on its way.
    const askedMs = clock.monotonicMs();
    try {
      const isOurs = await claim(command, { keys: { right: key }, args: { owner, heldMs: HELD_MS, knowledge } });
      this.#trustedUntilMs = isOurs ? askedMs + TRUSTED_MS : Number.NEGATIVE_INFINITY;
    } catch {
      // Redis is away: what was held runs out by itself.
    }
  }

  async #giveUp(): Promise<void> {
    const { command, key, owner } = this.#options;
    this.#trustedUntilMs = Number.NEGATIVE_INFINITY;
    await giveUp(command, { keys: { right: key }, args: { owner } }).catch(() => undefined);
  }

  #tell(): void {
    const isHeld = this.isHeld();
    const nowMs = this.#options.clock.monotonicMs();
    const isChanged = isHeld !== this.#wasHeld;
    if (!isChanged && nowMs < this.#aloneAtMs) return;
    this.#aloneAtMs = isChanged && isHeld ? nowMs + HELD_MS : Number.POSITIVE_INFINITY;
    this.#wasHeld = isHeld;
    for (const listener of this.#listeners) listener();
  }
}
