import { describe, expect, onTestFinished, test } from 'vitest';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { RedisDeadLetters } from '../../src/queue/adapters/job-index/redis-dead-letters.ts';
import type { DeadLetterIndex } from '../../src/queue/jobs/ports.ts';
import { MemoryDeadLetters } from '../support/memory-dead-letters.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';

const redis = useRedis();
const NOW = 1_700_000_000_000;
const RETENTION_MS = 10_000;
let round = 0;

const opened: Readonly<Record<string, (clock: { epochMs: () => number }) => Promise<DeadLetterIndex>>> = {
  memory: (clock) => Promise.resolve(new MemoryDeadLetters({ clock, retentionMs: RETENTION_MS })),
  Redis: async (clock) => {
    const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
    onTestFinished(() => client.disconnect());
    await whenReady(client, 10_000);
    round += 1;
    const root = `${redis.prefix}:{test/default/chat-${round}}`;
    return new RedisDeadLetters({ client, root, retentionMs: RETENTION_MS, clock });
  },
};

const letter = (id: string, endedAtEpochMs = NOW, objective = 'nightly') => ({ id, objective, endedAtEpochMs });

describe.each(Object.entries(opened))('dead letters in %s', (_, open) => {
  async function world() {
    const time = { nowEpochMs: NOW };
    return { time, index: await open({ epochMs: () => time.nowEpochMs }) };
  }

  test('are listed by objective, oldest first, and those of one moment by id', async () => {
    const { index } = await world();
    await index.add([letter('b', NOW), letter('a', NOW), letter('old', NOW - 5), letter('other', NOW, 'interactive')]);
    expect(await index.objectives()).toEqual(['interactive', 'nightly']);
    expect((await index.page('nightly', null, 10)).map(({ id }) => id)).toEqual(['old', 'a', 'b']);
    expect(await index.page('interactive', null, 10)).toEqual([letter('other', NOW, 'interactive')]);
    expect(await index.count('nightly')).toBe(3);
    expect(await index.page('unheard', null, 10)).toEqual([]);
  });

  test('are read page by page, also when the last one of a page has gone', async () => {
    const { index } = await world();
    await index.add(['a', 'b', 'c', 'd'].map((id, place) => letter(id, NOW + place)));
    const [first, second] = await index.page('nightly', null, 2);
    expect([first?.id, second?.id]).toEqual(['a', 'b']);
    await index.remove([letter('b')]);
    expect((await index.page('nightly', second ?? null, 10)).map(({ id }) => id)).toEqual(['c', 'd']);
    expect(await index.page('nightly', letter('d', NOW + 3), 10)).toEqual([]);
  });

  test('are there once, however often they are told', async () => {
    const { index } = await world();
    await index.add([letter('a')]);
    await index.add([letter('a')]);
    expect(await index.count('nightly')).toBe(1);
    expect(await index.has(letter('a'))).toBe(true);
    await index.remove([letter('a'), letter('never')]);
    expect(await index.has(letter('a'))).toBe(false);
    await index.add([]);
    await index.remove([]);
  });

  test('leave when their retention is over', async () => {
    const { index, time } = await world();
    await index.add([letter('a', NOW), letter('b', NOW + RETENTION_MS)]);
    time.nowEpochMs = NOW + RETENTION_MS + 1;
    expect(await index.count('nightly')).toBe(1);
    expect((await index.page('nightly', null, 10)).map(({ id }) => id)).toEqual(['b']);
  });
});
