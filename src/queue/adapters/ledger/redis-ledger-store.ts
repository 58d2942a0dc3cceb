import type { Redis } from 'ioredis';
import type { PoolKey } from '../../../core/objects.ts';
import type { RedisClient } from '../../../platform/redis/connection.ts';
import { parseRedisInfo } from '../../../platform/redis/inspect.ts';
import { isMoved, refreshSlots, serverOf } from '../../../platform/redis/server-of.ts';
import type { LedgerNews, LedgerStore } from '../../live-order/ports.ts';
import type { PoolHint, TurnRequest, TurnResult } from '../../policy/ledger/ops.ts';
import { decodeMail, decodeTurn } from './decode.ts';
import { LedgerLibrary } from './ledger-library.ts';

export interface RedisLedgerStoreOptions {
  /** For turns; purpose `command`. */
  readonly command: RedisClient;
  /** For news; purpose `subscriber`. May be shared. */
  readonly subscriber: Redis;
  /** In front of every key of this program, e.g. "pilotlight:". */
  readonly keyPrefix: string;
  /** Tells installations in one Redis apart. */
  readonly installation: string;
  readonly pool: PoolKey;
  /** The ledger's time in microseconds instead of Redis TIME. Tests only. */
  readonly nowUs?: () => number;
  /** False: as a script, which is what a server before Redis 7.0 gets by itself. */
  readonly useFunctions?: boolean;
}

/**
 * Of what the order keeps. Releases of one format share one order, whatever their libraries do; a release that reads or writes
 * its records otherwise has an order of its own beside theirs until the last of them has ended (former-order.ts). Raise it
 * when a record that an earlier release wrote, or would read, means something else: fields added at the end of a list do not.
 * Outcomes are common to all formats.
 */
export const ORDER_FORMAT = 'f2';
/** Of releases before, the latest first; '' was the first. */
export const FORMER_FORMATS: readonly string[] = [''];

/** In front of the keys of the order of one format. */
export function orderPrefix(root: string, format: string = ORDER_FORMAT): string {
  return format === '' ? `${root}:order:` : `${root}:${format}:order:`;
}

/** What all Redis keys of one pool have in common, so that they share a slot in Redis Cluster. */
export function poolHashTag(installation: string, pool: PoolKey): string {
  return `{${installation}/${pool}}`;
}

/**
 * The ledger in Redis: one script call for each turn, sent to the very server whose identity was checked. In a cluster that
 * is the node which owns the pool's slot: a turn that would be led elsewhere (MOVED, ASK) is refused instead, so that none
 * is executed by a server that may not have the latest state before the ledger is opened anew there.
 */
export class RedisLedgerStore implements LedgerStore {
  readonly #options: RedisLedgerStoreOptions;
  readonly #keys: string;
  readonly #library: LedgerLibrary;
  readonly #watched = new WeakSet<Redis>();
  /** The server that the ledger was opened on; '' = not asked yet. */
  #openedOn = '';
  /** Whose present connection leads to that server. */
  #verified: Redis | null = null;
  #verifying: { readonly server: Redis; readonly isSame: Promise<boolean> } | null = null;

  constructor(options: RedisLedgerStoreOptions) {
    this.#options = options;
    this.#keys = orderPrefix(`${options.keyPrefix}${poolHashTag(options.installation, options.pool)}`);
    this.#library = new LedgerLibrary(options.useFunctions ?? true);
    // One listener a pool, on connections that all pools share.
    options.command.setMaxListeners(0);
    options.subscriber.setMaxListeners(0);
  }

  async exec(request: TurnRequest): Promise<TurnResult> {
    const server = this.#server();
    if (this.#verified !== server && !(await this.#verify(server))) return { kind: 'stale' };
    const { nowUs } = this.#options;
    const now = nowUs === undefined ? '' : nowUs();
    try {
      return decodeTurn(await this.#library.run(server, `${this.#keys}meta`, [JSON.stringify(request), now]));
    } catch (error) {
      this.#noteMove(error);
      throw error;
    }
  }

  async runId(): Promise<string> {
    const server = this.#server();
    const runId = await this.#askRunId(server);
    this.#openedOn = runId;
    this.#verified = server;
    return runId;
  }

  subscribe(owner: string, news: LedgerNews): () => void {
    const { subscriber } = this.#options;
    const own = `${this.#keys}to:${owner}`;
    const all = `${this.#keys}all`;
    const onMessage = (channel: string, text: string) => {
      if (channel === own) news.onMail(decodeMail(JSON.parse(text) as Parameters<typeof decodeMail>[0]));
      else if (channel === all) {
        const { from, hint } = JSON.parse(text) as { from: string; hint: PoolHint };
        if (from !== owner) news.onHint(hint);
      }
    };
    const onReady = () => news.onGap();
    subscriber.on('message', onMessage);
    subscriber.on('ready', onReady);
    // Failing to subscribe is not fatal: the client polls, and ioredis subscribes again when it is connected.
    subscriber.subscribe(own, all).then(onReady, () => undefined);
    return () => {
      subscriber.off('message', onMessage);
      subscriber.off('ready', onReady);
      subscriber.unsubscribe(own, all).catch(() => undefined);
    };
  }

  #server(): Redis {
    const server = serverOf(this.#options.command, `${this.#keys}meta`);
    if (!this.#watched.has(server)) {
      this.#watched.add(server);
      server.setMaxListeners(0);
      // A new connection may lead to a server that restarted from an older file, or to another server.
      server.on('close', () => {
        if (this.#verified === server) this.#verified = null;
      });
    }
    return server;
  }

  /** One INFO for all turns that wait for it. */
  #verify(server: Redis): Promise<boolean> {
    if (this.#verifying?.server !== server) {
      const isSame = this.#askRunId(server)
        .then((runId) => {
          if (runId === this.#openedOn) this.#verified = server;
          return runId === this.#openedOn;
        })
        .finally(() => {
          if (this.#verifying?.server === server) this.#verifying = null;
        });
      this.#verifying = { server, isSame };
    }
    return this.#verifying.isSame;
  }

  async #askRunId(server: Redis): Promise<string> {
    const { runId } = parseRedisInfo(await server.info('server'));
    if (runId === undefined) throw new Error('this Redis hides its run_id (INFO server), which the ledger needs');
    return runId;
  }

  #noteMove(error: unknown): void {
    if (!isMoved(error)) return;
    this.#verified = null;
    refreshSlots(this.#options.command);
  }
}
