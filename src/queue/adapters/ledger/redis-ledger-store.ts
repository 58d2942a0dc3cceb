import type { Redis } from 'ioredis';
import type { PoolKey } from '../../../core/objects.ts';
import { parseRedisInfo } from '../../../platform/redis/inspect.ts';
import type { LedgerNews, LedgerStore } from '../../live-order/ports.ts';
import type { PoolHint, TurnRequest, TurnResult } from '../../policy/ledger/ops.ts';
import { decodeMail, decodeTurn } from './decode.ts';
import { LedgerLibrary } from './ledger-library.ts';

export interface RedisLedgerStoreOptions {
  /** For turns; purpose `command`. */
  readonly command: Redis;
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

/** What all Redis keys of one pool have in common, so that they share a slot in Redis Cluster. */
export function poolHashTag(installation: string, pool: PoolKey): string {
  return `{${installation}/${pool}}`;
}

/** The ledger in Redis: one script call for each turn. */
export class RedisLedgerStore implements LedgerStore {
  readonly #options: RedisLedgerStoreOptions;
  readonly #keys: string;
  readonly #library: LedgerLibrary;
  /** The server that the ledger was opened on; '' = not asked yet. */
  #openedOn = '';
  /** Whether the present connection leads to that server. */
  #isVerified = false;
  #verifying: Promise<boolean> | null = null;

  constructor(options: RedisLedgerStoreOptions) {
    this.#options = options;
    this.#keys = `${options.keyPrefix}${poolHashTag(options.installation, options.pool)}:order:`;
    this.#library = new LedgerLibrary(options.useFunctions ?? true);
    // One listener a pool, on connections that all pools share.
    options.command.setMaxListeners(0);
    options.subscriber.setMaxListeners(0);
    // A new connection may lead to a server that restarted from an older file, or to another server.
    options.command.on('close', () => {
      this.#isVerified = false;
    });
  }

  async exec(request: TurnRequest): Promise<TurnResult> {
    if (!this.#isVerified && !(await this.#verify())) return { kind: 'stale' };
    const { command, nowUs } = this.#options;
    const now = nowUs === undefined ? '' : nowUs();
    const reply = await this.#library.run(command, `${this.#keys}meta`, [JSON.stringify(request), now]);
    return decodeTurn(reply);
  }

  async runId(): Promise<string> {
    const runId = await this.#askRunId();
    this.#openedOn = runId;
    this.#isVerified = true;
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

  /** One INFO for all turns that wait for it. */
  async #verify(): Promise<boolean> {
    this.#verifying ??= this.#askRunId()
      .then((runId) => (this.#isVerified = runId === this.#openedOn))
      .finally(() => {
        this.#verifying = null;
      });
    return this.#verifying;
  }

  async #askRunId(): Promise<string> {
    const { runId } = parseRedisInfo(await this.#options.command.info('server'));
    if (runId === undefined) throw new Error('this Redis hides its run_id (INFO server), which the ledger needs');
    return runId;
  }
}
