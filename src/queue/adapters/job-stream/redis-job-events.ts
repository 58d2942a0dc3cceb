import type { RedisClient } from '../../../platform/redis/connection.ts';
import { randomUUID } from 'node:crypto';
import type { JobEvent, JobEvents, JobEventsAnswer } from '../../../core/job-events.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import {
  DEFAULT_JOB_EVENT_LIMITS,
  type JobEventLimits,
  type JobEventLog,
  type JobEventWriter,
} from '../../jobs/event-log.ts';
import type { RedisChannels } from '../job-index/channels.ts';

const KEYS = ['events', 'meta'] as const;
const begin = defineScript({
  files: [new URL('./begin-events.lua', import.meta.url)],
  keys: KEYS,
  args: ['writer', 'keepMs', 'channel'],
  parse: () => undefined,
});
const append = defineScript({
  files: [new URL('./append-events.lua', import.meta.url)],
  keys: KEYS,
  args: ['writer', 'keepMs', 'maxEvents', 'maxBytes', 'channel'],
  parse: () => undefined,
});
const end = defineScript({
  files: [new URL('./end-events.lua', import.meta.url)],
  keys: KEYS,
  args: ['writer', 'keepMs'],
  parse: () => undefined,
});

/** Events of one script call; Lua takes some thousand arguments. */
const MAX_APPEND = 1_000;

/**
 * Events of streamed jobs in Redis streams. Keys "<prefix>:job-events:{<id>}" (stream) and "…:meta" (hash: who may write,
 * next number, first number of this execution, bytes); channel of the same name. Readers never block in Redis: they are
 * told by the channel and read a range.
 */
export class RedisJobEvents implements JobEvents, JobEventLog {
  readonly #client: RedisClient;
  readonly #channels: RedisChannels;
  readonly #prefix: string;
  readonly #limits: JobEventLimits;

  constructor(client: RedisClient, channels: RedisChannels, prefix: string, limits: Partial<JobEventLimits> = {}) {
    this.#client = client;
    this.#channels = channels;
    this.#prefix = `${prefix}:job-events:`;
    this.#limits = { ...DEFAULT_JOB_EVENT_LIMITS, ...limits };
  }

  async begin(id: string): Promise<JobEventWriter> {
    const { keepRunningMs, keepEndedMs, maxEvents, maxBytes } = this.#limits;
    const keys = this.#keys(id);
    const channel = keys.events;
    const writer = randomUUID();
    await begin(this.#client, { keys, args: { writer, keepMs: keepRunningMs, channel } });
    return {
      append: async (events) => {
        const args = { writer, keepMs: keepRunningMs, maxEvents, maxBytes, channel };
        for (let from = 0; from < events.length; from += MAX_APPEND) {
          const rest = events.slice(from, from + MAX_APPEND).flatMap(({ type, data }) => [type, data]);
          await append(this.#client, { keys, args, rest });
        }
      },
      end: () => end(this.#client, { keys, args: { writer, keepMs: keepEndedMs } }),
    };
  }

  async read(id: string, from: number | null, limit: number): Promise<JobEventsAnswer> {
    const keys = this.#keys(id);
    const [nextText, baseText] = await this.#client.hmget(keys.meta, 'next', 'base');
    if (nextText == null || baseText == null) return { kind: 'none' };
    const next = Number(nextText);
    const index = from ?? Number(baseText);
    if (index < Number(baseText) || index > next) return { kind: 'gone', next };
    const entries = await this.#client.xrange(keys.events, `${index + 1}-0`, '+', 'COUNT', limit);
    const first = entries[0]?.[0];
    // The oldest are dropped first, so events without a gap begin where they were asked for.
    if (first === undefined ? next > index : first !== `${index + 1}-0`) return { kind: 'gone', next };
    return { kind: 'page', index, events: entries.map(([, fields]) => eventOf(fields)) };
  }

  onNews(id: string, listener: () => void): () => void {
    return this.#channels.listen(this.#keys(id).events, listener);
  }

  #keys(id: string): Record<(typeof KEYS)[number], string> {
    const events = `${this.#prefix}{${id}}`;
    return { events, meta: `${events}:meta` };
  }
}

/** Fields as the script writes them: t, type, d, data. */
function eventOf([, type = '', , data = '']: readonly string[]): JobEvent {
  return { type, data };
}
