import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import type { Leadership } from '../../../core/kubernetes.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { DecisionRecord } from '../../decision-log.ts';
import { Nap } from '../../nap.ts';
import type { PoolView } from '../../pool-view.ts';
import { boardChannel, boardKey, type RedisPlace } from './keys.ts';
import { encodeDecisions, encodeView } from './view.ts';

/** What is published; the autoscaler knows it. */
export interface BoardSource {
  view(pool: PoolKey): PoolView | undefined;
  /** Oldest first. */
  decisions(pool: PoolKey): readonly DecisionRecord[];
}

export interface BoardPublisherDeps {
  /** Purpose `command`. */
  readonly client: RedisClient;
  readonly place: RedisPlace;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leadership: Leadership;
  readonly source: BoardSource;
  readonly pools: () => Iterable<PoolKey>;
}

/** Without news a view is published again this often: readers take five times of it for silence. */
const REFRESH_MS = 3_000;
/** Changes of one pool closer together than this are published as one; the first of them is not delayed. */
const LEAST_GAP_MS = 100;
/** Also how long a record fences older terms off: a Lease that was deleted, and counts from zero again, is no dead end. */
const KEEP_MS = 120_000;

const publish = defineScript({
  files: [new URL('./lua/publish.lua', import.meta.url)],
  keys: ['record'],
  args: ['term', 'keepMs', 'channel', 'message', 'view', 'decisions'],
  parse: (reply) => (reply === 1 ? 'published' : 'fenced'),
});

interface Published {
  readonly atMs: number;
  /** Of the last decision. */
  readonly decisionKey: string;
}

/** Puts what the leading controller knows of every pool where gateways read it. Does nothing while it does not lead. */
export class BoardPublisher {
  readonly #deps: BoardPublisherDeps;
  readonly #nap: Nap;
  readonly #stopped = new AbortController();
  readonly #changed = new Set<PoolKey>();
  #published = new Map<PoolKey, Published>();
  #isFailing = false;
  #running: Promise<void> = Promise.resolve();
  #unlisten: () => void = () => undefined;

  constructor(deps: BoardPublisherDeps) {
    this.#deps = deps;
    this.#nap = new Nap(deps.clock);
  }

  start(): void {
    this.#unlisten = this.#deps.leadership.onChange(() => this.#nap.wake());
    this.#running = this.#run();
  }

  /** Something of this pool changed: it is published at once, at most every 100 ms. */
  touch(pool: PoolKey): void {
    this.#changed.add(pool);
    this.#nap.wake();
  }

  /** Resolves when nothing is on its way any more. */
  async stop(): Promise<void> {
    this.#unlisten();
    this.#stopped.abort();
    this.#nap.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) await this.#nap.take(await this.#turn());
  }

  /** Publishes what is due and returns when to look again. */
  async #turn(): Promise<number> {
    const term = this.#deps.leadership.term();
    if (term === null || !this.#deps.leadership.isLeader()) {
      this.#published.clear();
      this.#changed.clear();
      return REFRESH_MS;
    }
    const pools = [...this.#deps.pools()];
    const nowMs = this.#deps.clock.monotonicMs();
    const due = pools.filter((pool) => this.#dueAtMs(pool) <= nowMs);
    await Promise.all(due.map((pool) => this.#publish(pool, term)));
    this.#forgetAllBut(new Set(pools));
    const nextMs = Math.min(REFRESH_MS, ...pools.map((pool) => this.#dueAtMs(pool) - nowMs));
    return Math.max(1, nextMs);
  }

  #dueAtMs(pool: PoolKey): number {
    const last = this.#published.get(pool);
    if (last === undefined) return Number.NEGATIVE_INFINITY;
    return last.atMs + (this.#changed.has(pool) ? LEAST_GAP_MS : REFRESH_MS);
  }

  async #publish(pool: PoolKey, term: number): Promise<void> {
    const { client, place, clock, source } = this.#deps;
    this.#changed.delete(pool);
    const before = this.#published.get(pool);
    const records = source.decisions(pool);
    const decisionKey = keyOf(records.at(-1));
    const atMs = clock.monotonicMs();
    this.#published.set(pool, { atMs, decisionKey: before?.decisionKey ?? '' });
    const view = source.view(pool);
    if (view === undefined) return;
    try {
      const isNews = decisionKey !== before?.decisionKey;
      const result = await publish(client, {
        keys: { record: boardKey(place, pool) },
        args: {
          ...{ term, keepMs: KEEP_MS, channel: boardChannel(place), message: pool },
          view: encodeView(view),
          decisions: isNews ? encodeDecisions(records) : '',
        },
      });
      if (result === 'published') this.#published.set(pool, { atMs, decisionKey });
      this.#report(pool, result === 'published' ? null : `the record is of a later term than ${term}`);
    } catch (thrown) {
      this.#report(pool, asError(thrown).message);
    }
  }

  /** One line when publishing begins to fail, not one for each pool and try. */
  #report(pool: PoolKey, problem: string | null): void {
    if (problem !== null && !this.#isFailing) this.#deps.log.warn({ pool, problem }, 'board.publish_failed');
    this.#isFailing = problem !== null;
  }

  #forgetAllBut(pools: ReadonlySet<PoolKey>): void {
    this.#published = new Map([...this.#published].filter(([pool]) => pools.has(pool)));
    for (const pool of this.#changed) if (!pools.has(pool)) this.#changed.delete(pool);
  }
}

/** Repeats of one decision are no news. */
function keyOf(record: DecisionRecord | undefined): string {
  return record === undefined ? 'none' : `${record.atEpochMs} ${record.decision.rule}`;
}
