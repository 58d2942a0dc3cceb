import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { BatchBoard } from '../../lifecycle/ports.ts';
import type { KeeperNews } from '../../policy/lifecycle/view.ts';
import { reached } from './redis-batch-index.ts';

const NEWS_MS = 15_000;
const RUNNING_MS = 60_000;
/** Owners tell every second or two what they run; one that is silent so long runs nothing. */
const RUNNING_COUNTS_S = 6;

const lua = (name: string) => [new URL(`./lua/${name}.lua`, import.meta.url)];
const tellRunning = defineScript({
  files: lua('tell-running'),
  keys: ['running'],
  args: ['owner', 'rows', 'lifetimeMs'],
  parse: Number,
});
const readRunning = defineScript({ files: lua('read-running'), keys: ['running'], args: ['ageS'], parse: Number });

/** Keys "<prefix>:batches:{<id>}:news" and ":running", both with a lifetime. */
export class RedisBatchBoard implements BatchBoard {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, options: { readonly prefix: string }) {
    this.#client = client;
    this.#prefix = `${options.prefix}:batches:`;
  }

  async tell(id: string, news: KeeperNews): Promise<void> {
    await reached(() => this.#client.set(this.#key(id, 'news'), JSON.stringify(news), 'PX', NEWS_MS));
  }

  async tellRunning(id: string, owner: string, rows: number): Promise<void> {
    const keys = { running: this.#key(id, 'running') };
    await reached(() => tellRunning(this.#client, { keys, args: { owner, rows, lifetimeMs: RUNNING_MS } }));
  }

  async read(id: string): Promise<{ readonly news: KeeperNews | null; readonly rowsRunning: number }> {
    const keys = { running: this.#key(id, 'running') };
    const [news, rowsRunning] = await reached(() =>
      Promise.all([
        this.#client.get(this.#key(id, 'news')),
        readRunning(this.#client, { keys, args: { ageS: RUNNING_COUNTS_S } }),
      ]),
    );
    return { news: news === null ? null : (JSON.parse(news) as KeeperNews), rowsRunning };
  }

  #key(id: string, what: 'news' | 'running'): string {
    return `${this.#prefix}{${id}}:${what}`;
  }
}
