import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { JobHint, JobHints } from '../../jobs/ports.ts';
import type { RedisChannels } from './channels.ts';

const KINDS: ReadonlySet<string> = new Set<JobHint['kind']>(['settled', 'cancelled']);

/** Hints as messages "<kind> <id> <id> …" on "<prefix>:job-hints". */
export class RedisJobHints implements JobHints {
  readonly #client: RedisClient;
  readonly #channels: RedisChannels;
  readonly #channel: string;

  constructor(client: RedisClient, channels: RedisChannels, prefix: string) {
    this.#client = client;
    this.#channels = channels;
    this.#channel = `${prefix}:job-hints`;
  }

  publish({ kind, ids }: JobHint): void {
    // A hint that does not arrive costs a poll, nothing else.
    this.#client.publish(this.#channel, [kind, ...ids].join(' ')).catch(() => undefined);
  }

  onHint(listener: (hint: JobHint) => void): () => void {
    return this.#channels.listen(this.#channel, (message) => {
      const [kind = '', ...ids] = message.split(' ');
      if (KINDS.has(kind)) listener({ kind: kind as JobHint['kind'], ids });
    });
  }
}
