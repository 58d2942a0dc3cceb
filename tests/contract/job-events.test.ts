import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { JobEvent, JobEvents } from '../../src/core/job-events.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { RedisJobEvents } from '../../src/queue/adapters/job-stream/redis-job-events.ts';
import type { JobEventLimits, JobEventLog } from '../../src/queue/jobs/event-log.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { FakeJobEvents } from '../unit/ingress/support/fake-job-events.ts';

/** What readers and writers of a streamed job's events rely on. */

const redis = useRedis();
const JOB = 'resp_1';

interface Opened {
  readonly events: JobEvents & JobEventLog;
  close(): void;
}

async function openRedis(limits: Partial<JobEventLimits> = {}): Promise<Opened> {
  const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
  await Promise.all([whenReady(client, 20_000), whenReady(subscriber, 20_000)]);
  const events = new RedisJobEvents(client, new RedisChannels(subscriber), redis.prefix, limits);
  return {
    events,
    close() {
      client.disconnect();
      subscriber.disconnect();
    },
  };
}

function numbered(from: number, count: number): JobEvent[] {
  return Array.from({ length: count }, (_, place) => ({ type: 'tick', data: `{"n":${from + place}}` }));
}

let opened: Opened;
afterEach(async () => {
  opened.close();
  await redis.client.flushdb();
});

const ADAPTERS = [
  { name: 'Redis', open: () => openRedis() },
  { name: 'memory', open: () => Promise.resolve<Opened>({ events: new FakeJobEvents(), close: () => undefined }) },
];

describe.each(ADAPTERS)('events of streamed jobs in $name', ({ open }) => {
  beforeEach(async () => {
    opened = await open();
  });

  test('are not there before an execution began', async () => {
    expect(await opened.events.read(JOB, null, 10)).toEqual({ kind: 'none' });
  });

  test('are read in order, page by page, from any place', async () => {
    const writer = await opened.events.begin(JOB);
    await writer.append(numbered(0, 3));
    await writer.append(numbered(3, 2));
    expect(await opened.events.read(JOB, null, 4)).toEqual({ kind: 'page', index: 0, events: numbered(0, 4) });
    expect(await opened.events.read(JOB, 4, 4)).toEqual({ kind: 'page', index: 4, events: numbered(4, 1) });
    expect(await opened.events.read(JOB, 5, 4)).toEqual({ kind: 'page', index: 5, events: [] });
  });

  test('behind the newest are not there', async () => {
    await (await opened.events.begin(JOB)).append(numbered(0, 2));
    expect(await opened.events.read(JOB, 3, 10)).toEqual({ kind: 'gone', next: 2 });
  });

  test('of a run that broke off are gone, also for a reader who has them all', async () => {
    await (await opened.events.begin(JOB)).append(numbered(0, 2));
    const writer = await opened.events.begin(JOB);
    expect(await opened.events.read(JOB, 2, 10)).toMatchObject({ kind: 'gone' });
    await writer.append(numbered(7, 1));
    expect(await opened.events.read(JOB, 1, 10)).toMatchObject({ kind: 'gone' });
    expect(await opened.events.read(JOB, null, 10)).toEqual({ kind: 'page', index: 3, events: numbered(7, 1) });
  });

  test('are written by the last who began', async () => {
    const before = await opened.events.begin(JOB);
    const now = await opened.events.begin(JOB);
    await before.append(numbered(0, 1));
    await now.append(numbered(5, 1));
    expect(await opened.events.read(JOB, null, 10)).toMatchObject({ events: numbered(5, 1) });
  });

  test('are told to those who listen, and to nobody afterwards', async () => {
    const writer = await opened.events.begin(JOB);
    let news = 0;
    const stop = opened.events.onNews(JOB, () => {
      news += 1;
    });
    await until(async () => {
      await writer.append(numbered(0, 1));
      return news > 0;
    }, 'news');
    stop();
  });
});

describe('events in Redis', () => {
  test('are capped in number: a place that fell out is gone, the rest is there', async () => {
    opened = await openRedis({ maxEvents: 10 });
    const writer = await opened.events.begin(JOB);
    await writer.append(numbered(0, 25));
    expect(await opened.events.read(JOB, 14, 100)).toEqual({ kind: 'gone', next: 25 });
    expect(await opened.events.read(JOB, null, 100)).toEqual({ kind: 'gone', next: 25 });
    expect(await opened.events.read(JOB, 15, 100)).toEqual({ kind: 'page', index: 15, events: numbered(15, 10) });
  });

  test('are capped in bytes', async () => {
    opened = await openRedis({ maxBytes: 1_000 });
    const writer = await opened.events.begin(JOB);
    const large = { type: 'tick', data: `"${'x'.repeat(298)}"` };
    await writer.append([large, large, large, large, large]);
    expect(await opened.events.read(JOB, 2, 100)).toMatchObject({ kind: 'page', events: [large, large, large] });
    expect(await opened.events.read(JOB, 1, 100)).toMatchObject({ kind: 'gone' });
  });

  test('end some minutes after the job, and after an hour without any', async () => {
    opened = await openRedis();
    const writer = await opened.events.begin(JOB);
    await writer.append(numbered(0, 1));
    const keys = await redis.client.keys(`${redis.prefix}:job-events:*`);
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(await redis.client.pttl(key)).toBeGreaterThan(3_000_000);
    await writer.end();
    for (const key of keys) expect(await redis.client.pttl(key)).toBeLessThanOrEqual(600_000);
  });

  test('that Redis lost are gone, and the writer does not begin them anew in the middle', async () => {
    opened = await openRedis();
    const writer = await opened.events.begin(JOB);
    await writer.append(numbered(0, 2));
    await redis.client.flushdb();
    await writer.append(numbered(2, 2));
    expect(await opened.events.read(JOB, 2, 10)).toEqual({ kind: 'none' });
  });
});
