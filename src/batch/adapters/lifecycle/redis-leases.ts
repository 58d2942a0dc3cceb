import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import { type BatchLeases, LEASE_MS, type Lease } from '../../lifecycle/ports.ts';
import { reached } from './redis-batch-index.ts';

/** What is left of the leases of a batch, long after it ended. */
const PAST_MS = 7 * 24 * 3_600_000;

const lua = (name: string) => [new URL(`./lua/${name}.lua`, import.meta.url)];
const beat = defineScript({ files: lua('beat'), keys: ['keepers'], args: ['owner', 'lifetimeMs'], parse: Number });
const acquire = defineScript({
  files: lua('acquire'),
  keys: ['lease', 'past'],
  args: ['owner', 'lifetimeMs', 'pastMs'],
  parse: (reply) => (reply as number[]).map(Number),
});
const renew = defineScript({ files: lua('renew'), keys: ['lease'], args: ['holder', 'lifetimeMs'], parse: Number });
const release = defineScript({ files: lua('release'), keys: ['lease', 'past'], args: ['holder'], parse: Number });

/** Keys "<prefix>:batches:{<id>}:lease", ":past" (token, whether the last one was given back), "…{all}:keepers". */
export class RedisBatchLeases implements BatchLeases {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #leaseMs: number;

  constructor(client: RedisClient, options: { readonly prefix: string; readonly leaseMs?: number }) {
    this.#client = client;
    this.#prefix = `${options.prefix}:batches:`;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
  }

  beat(owner: string): Promise<number> {
    const keys = { keepers: `${this.#prefix}{all}:keepers` };
    return reached(() => beat(this.#client, { keys, args: { owner, lifetimeMs: this.#leaseMs } }));
  }

  async free(ids: readonly string[]): Promise<readonly string[]> {
    const taken = await reached(() => Promise.all(ids.map((id) => this.#client.exists(this.#keys(id).lease))));
    return ids.filter((_, place) => taken[place] === 0);
  }

  async acquire(id: string, owner: string): Promise<Lease | null> {
    const args = { owner, lifetimeMs: this.#leaseMs, pastMs: PAST_MS };
    const [token = 0, wasReleased] = await reached(() => acquire(this.#client, { keys: this.#keys(id), args }));
    return token === 0 ? null : { token, wasReleased: wasReleased === 1 };
  }

  async renew(id: string, owner: string, token: number): Promise<boolean> {
    const args = { holder: `${owner} ${token}`, lifetimeMs: this.#leaseMs };
    return (await reached(() => renew(this.#client, { keys: this.#keys(id), args }))) === 1;
  }

  async release(id: string, owner: string, token: number): Promise<void> {
    await reached(() => release(this.#client, { keys: this.#keys(id), args: { holder: `${owner} ${token}` } }));
  }

  #keys(id: string): { lease: string; past: string } {
    return { lease: `${this.#prefix}{${id}}:lease`, past: `${this.#prefix}{${id}}:past` };
  }
}
