import { QueueKeys } from 'bullmq';
import { fairUnits, GENERATION_TAGS, tagOf } from '../../../core/fair-tag.ts';
import type { RedisClient } from '../../../platform/redis/connection.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { BacklogTurn, FairItem, TagBook } from '../../backlog/ports.ts';

export interface RedisTagBookOptions {
  readonly client: RedisClient;
  /** "<prefix>:{<installation>/<namespace>/<pool>}", as that of the backlog. */
  readonly root: string;
  /** Names this process; unique per run. */
  readonly owner: string;
}

/** A clock that nobody asked for so long begins anew, whatever waits. */
const KEPT_MS = 2_592_000_000;
/** Who tags again and falls silent is replaced after so long. */
const SILENT_S = 60;

const file = (name: string): URL => new URL(`lua/${name}.lua`, import.meta.url);

const turnScript = defineScript({
  files: [file('turn')],
  keys: ['clock', 'wait', 'prioritized', 'delayed', 'active', 'item'],
  args: ['tenant', 'units', 'keptMs'],
  parse: (reply) => (reply as unknown[]).map(Number) as [number, number],
});

const openedScript = defineScript({
  files: [file('opened')],
  keys: ['clock'],
  args: ['start', 'generationTags', 'keptMs'],
  parse: Number,
});

const rollOverScript = defineScript({
  files: [file('roll-over')],
  keys: ['clock'],
  args: ['base', 'owner', 'silentS', 'isDone'],
  parse: (reply) => reply === 1,
});

/**
 * The tag book in Redis, one hash for each objective beside its queue. It begins anew when a turn finds the queue empty, and
 * none was given for 15 s: then nobody is on the way into it.
 */
export class RedisTagBook implements TagBook {
  readonly #options: RedisTagBookOptions;
  readonly #queueKeys: QueueKeys;

  constructor(options: RedisTagBookOptions) {
    this.#options = options;
    this.#queueKeys = new QueueKeys(`${options.root}:backlog`);
  }

  async turn({ id, objective, tenant, costTokens, weight }: FairItem): Promise<BacklogTurn> {
    const keyOf = (type: string) => this.#queueKeys.toKey(objective, type);
    const [start, base] = await turnScript(this.#options.client, {
      keys: {
        clock: this.#clockKey(objective),
        wait: keyOf('wait'),
        prioritized: keyOf('prioritized'),
        delayed: keyOf('delayed'),
        active: keyOf('active'),
        item: keyOf(id),
      },
      args: { tenant, units: fairUnits(costTokens, weight), keptMs: KEPT_MS },
    });
    return { start, tag: tagOf(start, base) };
  }

  async opened(objective: string, start: number): Promise<{ readonly base: number } | null> {
    const base = await openedScript(this.#options.client, {
      keys: { clock: this.#clockKey(objective) },
      args: { start, generationTags: GENERATION_TAGS, keptMs: KEPT_MS },
    });
    return base < 0 ? null : { base };
  }

  rollOver(objective: string, base: number, isDone: boolean): Promise<boolean> {
    return rollOverScript(this.#options.client, {
      keys: { clock: this.#clockKey(objective) },
      args: { base, owner: this.#options.owner, silentS: SILENT_S, isDone: isDone ? 1 : 0 },
    });
  }

  #clockKey(objective: string): string {
    return `${this.#options.root}:backlog-order:${objective}`;
  }
}
