import type { RedisClient } from '../../../platform/redis/connection.ts';
import { sendMany } from '../../../platform/redis/many.ts';
import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey } from '../../../core/objects.ts';
import type { PoolStatus } from '../../../core/replicas.ts';
import { formatDuration } from '../../../core/units.ts';
import type { GpuUse } from '../../gpu-meter.ts';
import { Nap } from '../../nap.ts';
import type { WaitAdvice } from '../../policy/wait-advice.ts';
import type { AdviceSource } from '../../wait-advisor.ts';
import { agedAdvice, agedStatus, agedTarget } from './aged-view.ts';
import type { Channels } from './channels.ts';
import { boardChannel, boardKey, type RedisPlace } from './keys.ts';
import { type BoardView, decodeDecisions, decodeView } from './view.ts';

export interface BoardReaderDeps {
  /** Purpose `command`. */
  readonly client: RedisClient;
  readonly channels: Channels;
  readonly place: RedisPlace;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pools: () => Iterable<PoolKey>;
}

/** Without hints everything is read this often. */
const READ_EVERY_MS = 3_000;
/** While a pool is unknown: at the start a hint may come before the subscription holds. */
const SEEK_EVERY_MS = 500;
/** Publishers refresh every 3 s. A new leader needs up to 17 s (its Lease) and is not yet worth a word before. */
const SILENT_AFTER_MS = 15_000;

interface Held {
  readonly view: BoardView;
  /** How old the view was when it was read, by the clock of Redis. */
  readonly ageMs: number;
  /** Monotonic, of this process. */
  readonly readAtMs: number;
}

/**
 * What the controller told last, held in this process: every question is answered at once and without an error. Times
 * that run down are corrected for the age of what was told.
 */
export class BoardReader implements AdviceSource {
  readonly #deps: BoardReaderDeps;
  readonly #nap: Nap;
  readonly #stopped = new AbortController();
  readonly #hinted = new Set<PoolKey>();
  readonly #listeners = new Set<(pool: PoolKey) => void>();
  #held: ReadonlyMap<PoolKey, Held> = new Map();
  #readAllAtMs = Number.NEGATIVE_INFINITY;
  /** Monotonic; null = the last read worked. */
  #failingSinceMs: number | null = null;
  #running: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => undefined;

  constructor(deps: BoardReaderDeps) {
    this.#deps = deps;
    this.#nap = new Nap(deps.clock);
  }

  /** Resolves after the first read, whatever came of it. */
  async start(): Promise<void> {
    const { channels, place } = this.#deps;
    this.#unlisten = channels.listen(boardChannel(place), (pool) => this.#onHint(pool));
    await this.#turn();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopped.abort();
    this.#nap.wake();
    await this.#running;
  }

  /** Undefined until something of this pool was read. */
  view(pool: PoolKey): BoardView | undefined {
    const held = this.#held.get(pool);
    const status = this.status(pool);
    if (held === undefined || status === undefined) return undefined;
    const targets = held.view.targets.map((target) => agedTarget(target, this.#ageMs(held)));
    return { ...held.view, status, advice: this.advice(pool), targets };
  }

  status(pool: PoolKey): PoolStatus | undefined {
    const held = this.#held.get(pool);
    if (held === undefined) return undefined;
    return agedStatus(held.view.status, this.#ageMs(held), this.silence(pool));
  }

  advice(pool: PoolKey): WaitAdvice | null {
    const held = this.#held.get(pool);
    if (held === undefined || held.view.advice === null) return null;
    return agedAdvice(held.view.advice, this.#ageMs(held), this.silence(pool) !== null);
  }

  gpuUse(pool: PoolKey): GpuUse | undefined {
    return this.#held.get(pool)?.view.gpuUse;
  }

  /** The newest decisions, oldest first, read now. Rejects when Redis does not answer. */
  async decisions(pool: PoolKey): Promise<readonly unknown[]> {
    const { client, place } = this.#deps;
    return decodeDecisions(await client.hget(boardKey(place, pool), 'decisions'));
  }

  /** Why what is known of the pool is old, with the remedy; null = it is not. One sentence. */
  silence(pool: PoolKey): string | null {
    const held = this.#held.get(pool);
    if (held === undefined) return null;
    const ageMs = this.#ageMs(held);
    if (ageMs < SILENT_AFTER_MS) return null;
    const since = new Date(this.#deps.clock.epochMs() - ageMs).toISOString();
    const ago = formatDuration(ageMs);
    if (this.#failingSinceMs !== null) {
      return `Redis does not answer, so the controller was last heard of pool ${pool} at ${since} (${ago} ago): replicas stay as they are; check Redis`;
    }
    return `the controller has been silent about pool ${pool} since ${since} (${ago}): replicas stay as they are until it is back; check that it runs, holds its Lease and reaches Redis`;
  }

  /** Called after each view that was read anew. Returns the way to stop. */
  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #ageMs({ ageMs, readAtMs }: Held): number {
    return ageMs + Math.max(0, this.#deps.clock.monotonicMs() - readAtMs);
  }

  #onHint(pool: PoolKey): void {
    this.#hinted.add(pool);
    this.#nap.wake();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const leftMs = this.#readAllAtMs + this.#readEveryMs() - this.#deps.clock.monotonicMs();
      await this.#nap.take(Math.max(1, leftMs));
      await this.#turn();
    }
  }

  #readEveryMs(): number {
    for (const pool of this.#deps.pools()) if (!this.#held.has(pool)) return SEEK_EVERY_MS;
    return READ_EVERY_MS;
  }

  async #turn(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    const { clock, log } = this.#deps;
    const known = new Set(this.#deps.pools());
    const nowMs = clock.monotonicMs();
    const isTimeForAll = nowMs - this.#readAllAtMs >= this.#readEveryMs();
    const wanted = isTimeForAll ? [...known] : [...this.#hinted].filter((pool) => known.has(pool));
    this.#hinted.clear();
    if (isTimeForAll) {
      this.#readAllAtMs = nowMs;
      this.#held = new Map([...this.#held].filter(([pool]) => known.has(pool)));
    }
    if (wanted.length === 0) return;
    try {
      await this.#read(wanted);
      this.#failingSinceMs = null;
    } catch (thrown) {
      if (this.#failingSinceMs === null) log.warn({ error: asError(thrown).message }, 'board.read_failed');
      this.#failingSinceMs ??= nowMs;
    }
  }

  async #read(pools: readonly PoolKey[]): Promise<void> {
    const { client, place, clock } = this.#deps;
    const replies = await sendMany(
      client,
      pools.map((pool) => ['hmget', boardKey(place, pool), 'atMs', 'view']),
    );
    // Asked last, so that no record is younger than it.
    const [seconds = 0, micros = 0] = await client.time();
    const readAtMs = clock.monotonicMs();
    const redisNowMs = seconds * 1_000 + Math.floor(micros / 1_000);
    const held = new Map(this.#held);
    const news: PoolKey[] = [];
    for (const [index, pool] of pools.entries()) {
      const [atMs, text] = replies[index] as readonly [string | null, string | null];
      const view = text === null ? null : decodeView(text);
      // A record that has lapsed leaves what was read last, and that grows old.
      if (view === null) continue;
      held.set(pool, { view, ageMs: Math.max(0, redisNowMs - Number(atMs)), readAtMs });
      news.push(pool);
    }
    this.#held = held;
    for (const pool of news) for (const listener of this.#listeners) listener(pool);
  }
}
