import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { FormerOrder, FormerState } from '../../jobs/former-orders.ts';
import { FORMER_FORMATS, orderPrefix } from './redis-ledger-store.ts';

export interface RedisFormerOrderOptions {
  readonly client: RedisClient;
  /** "<prefix>:{<installation>/<namespace>/<pool>}". */
  readonly root: string;
  /** One of FORMER_FORMATS. */
  readonly format: string;
}

/** Longer than the ledger takes to give an owner up, so that one that only stood still is heard again. */
const DEAD_AFTER_MS = 10_000;

const file = (name: string): URL => new URL(`lua/${name}.lua`, import.meta.url);

const lookScript = defineScript({
  files: [file('look-at-former')],
  keys: ['meta', 'owners'],
  args: ['deadAfterMs'],
  parse: (reply) => String(reply) as FormerState,
});

const endScript = defineScript({
  files: [file('end-former')],
  keys: ['meta', 'outbox', 'outboxOf'],
  args: [],
  parse: Number,
});

/** The order of a pool as an earlier release kept it, in the same Redis. Failures of Redis throw as they come. */
export class RedisFormerOrder implements FormerOrder {
  readonly #options: RedisFormerOrderOptions;
  readonly #former: string;

  constructor(options: RedisFormerOrderOptions) {
    this.#options = options;
    this.#former = orderPrefix(options.root, options.format);
  }

  look(): Promise<FormerState> {
    const keys = { meta: `${this.#former}meta`, owners: `${this.#former}owners` };
    return lookScript(this.#options.client, { keys, args: { deadAfterMs: DEAD_AFTER_MS } });
  }

  async claim(state: FormerState, forMs: number): Promise<boolean> {
    return (await this.#options.client.set(`${this.#former}upgrade:${state}`, '1', 'PX', forMs, 'NX')) === 'OK';
  }

  end(): Promise<number> {
    const present = orderPrefix(this.#options.root);
    const keys = { meta: `${this.#former}meta`, outbox: `${present}outbox`, outboxOf: `${present}outbox-of` };
    return endScript(this.#options.client, { keys, args: {} });
  }
}

/** Those of all earlier formats. */
export function formerOrders(client: RedisClient, root: string): readonly RedisFormerOrder[] {
  return FORMER_FORMATS.map((format) => new RedisFormerOrder({ client, root, format }));
}
