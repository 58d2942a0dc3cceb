import type { RedisClient } from '../../../platform/redis/connection.ts';
import type { Leadership } from '../../../core/kubernetes.ts';
import { formatBytes } from '../../../core/units.ts';
import { defineScript } from '../../../platform/redis/script.ts';
import type { LearnedStateStore } from '../../ports.ts';
import { installationKey, type RedisPlace } from './keys.ts';

export interface LearnedStateRedisDeps {
  /** Purpose `command`. */
  readonly client: RedisClient;
  readonly place: RedisPlace;
  readonly leadership: Leadership;
}

/** Part of the key: releases of another format neither read nor overwrite it. */
const FORMAT = 1;
/** Some thousand templates with 50 boots each. */
const MOST_BYTES = 8 * 1_024 * 1_024;
/** Twenty times as long as a leader goes between two saves. */
const KEEP_FENCE_MS = 600_000;

const saveLearned = defineScript({
  files: [new URL('./lua/save-learned.lua', import.meta.url)],
  keys: ['state', 'fence'],
  args: ['term', 'keepFenceMs', 'state'],
  parse: (reply) => reply === 1,
});

/**
 * What was learned, for whoever leads next. `load` rejects when Redis does not answer. `save` rejects when this process
 * does not lead, when a later term has saved, when it is above 8 MiB, or when Redis does not answer.
 */
export function learnedStateRedis({ client, place, leadership }: LearnedStateRedisDeps): LearnedStateStore {
  const keys = {
    state: installationKey(place, `learned:${FORMAT}`),
    fence: installationKey(place, `learned:${FORMAT}:term`),
  };
  return {
    async load() {
      const text = await client.get(keys.state);
      try {
        return text === null ? null : (JSON.parse(text) as unknown);
      } catch {
        return null;
      }
    },
    async save(value) {
      const term = leadership.term();
      if (term === null) throw new Error('learned state is not saved: this process does not lead');
      const state = JSON.stringify(value);
      const bytes = Buffer.byteLength(state);
      if (bytes > MOST_BYTES) {
        throw new Error(`learned state is not saved: ${formatBytes(bytes)} is above ${formatBytes(MOST_BYTES)}`);
      }
      const isSaved = await saveLearned(client, { keys, args: { term, keepFenceMs: KEEP_FENCE_MS, state } });
      if (!isSaved) throw new Error(`learned state is not saved: a leader of a later term than ${term} has saved`);
    },
  };
}
