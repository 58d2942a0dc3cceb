import type { Clock } from '../../../core/clock.ts';
import { ARRIVAL_KEPT_MS, type KeptArrivals } from '../../../core/idempotency.ts';
import type { RedisClient } from '../../../platform/redis/connection.ts';
import { hashOf } from './hash-of.ts';

interface Kept {
  readonly arrivedAtEpochMs: number;
  readonly untilMs: number;
}

/** About 250 bytes each; the oldest is forgotten first. */
const MAX_KEPT = 10_000;

/** What this process remembers. */
export class MemoryArrivals implements KeptArrivals {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  get hasAny(): boolean {
    this.#forgetOld();
    return this.#kept.size > 0;
  }

  keep(tenant: string, requestHash: string, arrivedAtEpochMs: number): void {
    this.#forgetOld();
    const name = nameOf(tenant, requestHash);
    // Of several calls that are alike the first to leave has waited longest.
    if (this.#kept.has(name)) return;
    this.#kept.set(name, { arrivedAtEpochMs, untilMs: this.#clock.monotonicMs() + ARRIVAL_KEPT_MS });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest);
  }

  take(tenant: string, requestHash: string): Promise<number | null> {
    this.#forgetOld();
    const name = nameOf(tenant, requestHash);
    const kept = this.#kept.get(name);
    this.#kept.delete(name);
    return Promise.resolve(kept?.arrivedAtEpochMs ?? null);
  }

  /** The map is in the order of time. */
  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [name, { untilMs }] of this.#kept) {
      if (untilMs > nowMs) return;
      this.#kept.delete(name);
    }
  }
}

/**
 * The same for all replicas: "<prefix>:arrived:{<tenant and request, as SHA-256>}". Written when a call loses its place, read
 * only for calls that are marked as repetitions, so that other calls cost no command.
 */
export class RedisArrivals implements KeptArrivals {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #own: MemoryArrivals;

  constructor(client: RedisClient, options: { readonly prefix: string; readonly clock: Pick<Clock, 'monotonicMs'> }) {
    this.#client = client;
    this.#prefix = `${options.prefix}:arrived:`;
    this.#own = new MemoryArrivals(options.clock);
  }

  get hasAny(): boolean {
    return this.#own.hasAny;
  }

  keep(tenant: string, requestHash: string, arrivedAtEpochMs: number): void {
    this.#own.keep(tenant, requestHash, arrivedAtEpochMs);
    const name = this.#name(tenant, requestHash);
    this.#client.set(name, arrivedAtEpochMs, 'PX', ARRIVAL_KEPT_MS, 'NX').catch(() => undefined);
  }

  async take(tenant: string, requestHash: string, isMarked: boolean): Promise<number | null> {
    const own = await this.#own.take(tenant, requestHash);
    if (own === null && !isMarked) return null;
    // Another replica may have taken it: who is first in Redis has it. Without Redis this process alone decides.
    return this.#client.getdel(this.#name(tenant, requestHash)).then(
      (text) => (text === null ? null : Number(text)),
      () => own,
    );
  }

  #name(tenant: string, requestHash: string): string {
    return `${this.#prefix}{${hashOf([tenant, requestHash])}}`;
  }
}

function nameOf(tenant: string, requestHash: string): string {
  return `${requestHash} ${tenant}`;
}
