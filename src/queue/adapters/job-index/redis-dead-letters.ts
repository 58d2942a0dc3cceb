import type { Clock } from '../../../core/clock.ts';
import type { RedisClient } from '../../../platform/redis/connection.ts';
import { type RedisCommand, sendMany } from '../../../platform/redis/many.ts';
import type { DeadEntry, DeadLetterIndex } from '../../jobs/ports.ts';

export interface RedisDeadLettersOptions {
  readonly client: RedisClient;
  /** "<prefix>:{<installation>/<namespace>/<pool>}": the root of all keys of the pool, its hash tag included. */
  readonly root: string;
  readonly retentionMs: number;
  readonly clock: Pick<Clock, 'epochMs'>;
}

/** "<root>:dead:<objective>": ids by the time of their end; "<root>:dead-objectives": names. Past retention they leave. */
export class RedisDeadLetters implements DeadLetterIndex {
  readonly #options: RedisDeadLettersOptions;

  constructor(options: RedisDeadLettersOptions) {
    this.#options = options;
  }

  async add(entries: readonly DeadEntry[]): Promise<void> {
    const commands = [...Map.groupBy(entries, ({ objective }) => objective)].flatMap(
      ([objective, letters]): RedisCommand[] => [
        ['sadd', this.#objectivesKey, objective],
        ['zremrangebyscore', this.#key(objective), '-inf', `(${this.#oldestEpochMs()}`],
        ['zadd', this.#key(objective), ...letters.flatMap(({ id, endedAtEpochMs }) => [endedAtEpochMs, id])],
      ],
    );
    await sendMany(this.#options.client, commands);
  }

  async remove(entries: readonly Omit<DeadEntry, 'endedAtEpochMs'>[]): Promise<void> {
    await sendMany(
      this.#options.client,
      entries.map(({ objective, id }) => ['zrem', this.#key(objective), id]),
    );
  }

  async has({ objective, id }: Omit<DeadEntry, 'endedAtEpochMs'>): Promise<boolean> {
    return (await this.#options.client.zscore(this.#key(objective), id)) !== null;
  }

  async objectives(): Promise<readonly string[]> {
    return (await this.#options.client.smembers(this.#objectivesKey)).sort();
  }

  count(objective: string): Promise<number> {
    return this.#options.client.zcount(this.#key(objective), this.#oldestEpochMs(), '+inf');
  }

  async page(objective: string, after: Omit<DeadEntry, 'objective'> | null, limit: number): Promise<DeadEntry[]> {
    const { client } = this.#options;
    const key = this.#key(objective);
    const start =
      after === null ? await client.zcount(key, '-inf', `(${this.#oldestEpochMs()}`) : await this.#past(key, after);
    const members = await client.zrange(key, start, String(start + limit - 1), 'WITHSCORES');
    // One list or a list of pairs, as the protocol's version has it.
    const flat: readonly (string | number)[] = members.flat();
    const entries: DeadEntry[] = [];
    for (let place = 0; place + 1 < flat.length; place += 2) {
      entries.push({ objective, id: String(flat[place]), endedAtEpochMs: Number(flat[place + 1]) });
    }
    return entries;
  }

  /** The rank behind an entry; of one that has left, the rank of the first that ended with or after it. */
  async #past(key: string, { id, endedAtEpochMs }: Omit<DeadEntry, 'objective'>): Promise<number> {
    const rank = await this.#options.client.zrank(key, id);
    return rank === null ? this.#options.client.zcount(key, '-inf', `(${endedAtEpochMs}`) : rank + 1;
  }

  #oldestEpochMs(): number {
    const { clock, retentionMs } = this.#options;
    return clock.epochMs() - retentionMs;
  }

  #key(objective: string): string {
    return `${this.#options.root}:dead:${objective}`;
  }

  get #objectivesKey(): string {
    return `${this.#options.root}:dead-objectives`;
  }
}
