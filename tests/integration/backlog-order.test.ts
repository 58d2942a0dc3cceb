import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GENERATION_TAGS, LAST_TAG } from '../../src/core/fair-tag.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { RedisTagBook } from '../../src/queue/adapters/bullmq/redis-tag-book.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { FairTags } from '../../src/queue/backlog/fair-tags.ts';
import type { Claim } from '../../src/queue/backlog/ports.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const OBJECTIVE = 'nightly';
const HUGE = 100_000_000;

let round = 0;
let cleanUps: (() => Promise<void> | void)[];

beforeEach(() => {
  round += 1;
  cleanUps = [];
});

afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

/** One process's backlog with its tags. Its clock is the test's. */
async function open() {
  const root = `${redis.prefix}:{test/default/order-${round}}`;
  const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
  await whenReady(client, 10_000);
  const connection = await shareConnection(client);
  const channels = new RedisChannels(subscriber);
  const backlog = new BullmqBacklog({ pool: 'default/order', root, client, connection, channels, log: silentLogger });
  const clock = new FakeClock();
  const book = new RedisTagBook({ client, root, owner: `p${cleanUps.length}` });
  const retag = (objective: string, base: number, mayGoOn: () => Promise<boolean>) =>
    backlog.retag(objective, base, mayGoOn);
  const tags = new FairTags({ book, retag, clock, log: silentLogger });
  cleanUps.push(async () => {
    await tags.close();
    await backlog.close();
    client.disconnect();
    subscriber.disconnect();
  });
  const add = async (id: string, tenant: string, costTokens = 5_000, weight = 1): Promise<number> => {
    const turn = await tags.turn({ id, objective: OBJECTIVE, tenant, costTokens, weight });
    await backlog.add({ id, objective: OBJECTIVE, ...turn, acceptRef: 'run.seg:1:1', costTokens });
    return turn.tag;
  };
  return {
    backlog,
    tags,
    clock,
    book,
    add,
    clockKey: `${root}:backlog-order:${OBJECTIVE}`,
    key: `${root}:backlog:${OBJECTIVE}`,
  };
}

type Opened = Awaited<ReturnType<typeof open>>;

/** Takes and finishes so many items one after the other; later ones stay away. */
async function take({ backlog, tags }: Opened, count: number): Promise<readonly string[]> {
  const taken: string[] = [];
  const handler = (claim: Claim) => {
    if (taken.length >= count) return Promise.resolve({ kind: 'returned' } as const);
    taken.push(claim.id);
    tags.opened(OBJECTIVE, claim.start ?? 0);
    if (taken.length === count) intake.setWindow(0);
    return Promise.resolve({ kind: 'finished' } as const);
  };
  const intake = backlog.intake(OBJECTIVE, handler);
  intake.setWindow(1);
  await until(() => taken.length === count && intake.held === 0, 'the items are taken');
  await intake.close();
  return taken;
}

/** Lets what was taken be told. */
async function told({ clock, clockKey }: Opened, virtualTime: number): Promise<void> {
  await clock.advance(100);
  await until(async () => Number(await redis.client.hget(clockKey, 'v')) === virtualTime, 'takes are told');
}

const priorityOf = async ({ key }: Opened, id: string) => Number(await redis.client.hget(`${key}:${id}`, 'priority'));
const scoreOf = async ({ key }: Opened, id: string) => Number(await redis.client.zscore(`${key}:prioritized`, id));

describe('the order of jobs in the backlog', () => {
  test('one job of a tenant starts next, however many of another wait', async () => {
    const process = await open();
    for (let job = 0; job < 500; job += 1) await process.add(`crowd-${job}`, 'crowd');
    await take(process, 20);
    await told(process, 95);
    await process.add('single', 'single');
    expect(await take(process, 3)).toContain('single');
  });

  test('tenants are served by their weights, 1:1:3', async () => {
    const process = await open();
    for (const [tenant, weight] of Object.entries({ a: 1, b: 1, c: 3 })) {
      for (let job = 0; job < 100; job += 1) await process.add(`${tenant}-${job}`, tenant, 5_000, weight);
    }
    const taken = await take(process, 100);
    const of = (tenant: string) => taken.filter((id) => id.startsWith(tenant)).length;
    expect([of('a'), of('b'), of('c')].map((jobs) => Math.round(jobs / 10))).toEqual([2, 2, 6]);
  });

  test('usage and virtual time survive a restart, and begin anew when the queue is empty', async () => {
    const first = await open();
    for (let job = 0; job < 10; job += 1) await first.add(`a-${job}`, 'a');
    await take(first, 5);
    await told(first, 20);
    const next = await open();
    expect(await next.add('a-10', 'a')).toBe(51);
    expect(await next.add('b-0', 'b')).toBe(21);
    await take(next, 7);
    await redis.client.hincrby(next.clockKey, 't', -16);
    expect(await next.add('a-11', 'a')).toBe(1);
  });

  test('who was given a place and is not in the empty queue yet is not forgotten', async () => {
    const process = await open();
    const turnOf = (id: string, tenant: string) =>
      process.tags.turn({ id, objective: OBJECTIVE, tenant, costTokens: 5_000, weight: 1 });
    const crowd = await Promise.all(['a-0', 'a-1', 'a-2', 'a-3'].map((id) => turnOf(id, 'a')));
    expect(crowd.map(({ tag }) => tag)).toEqual([1, 6, 11, 16]);
    expect(await turnOf('b-0', 'b')).toMatchObject({ tag: 1 });
  });

  test('a job that waits already is not charged again', async () => {
    const process = await open();
    await process.add('a-0', 'a');
    for (let again = 0; again < 5; again += 1) await process.add('a-0', 'a');
    expect(await process.add('a-1', 'a')).toBe(6);
  });

  test('after Redis lost everything, jobs that are added again have fair tags', async () => {
    const process = await open();
    for (let job = 0; job < 10; job += 1) await process.add(`a-${job}`, 'a');
    await redis.client.flushdb();
    const tags: number[] = [];
    for (let job = 0; job < 5; job += 1) tags.push(await process.add(`a-${job}`, 'a'));
    tags.push(await process.add('b-0', 'b'));
    expect(tags).toEqual([1, 6, 11, 16, 21, 1]);
  });

  test('who ended before the present is forgotten', async () => {
    const process = await open();
    await process.add('keeps-it-open', 'big', 50_000_000);
    for (let tenant = 0; tenant < 1_500; tenant += 1) {
      await process.book.turn({
        id: `x-${tenant}`,
        objective: OBJECTIVE,
        tenant: `t${tenant}`,
        costTokens: 1,
        weight: 1,
      });
      if (tenant === 1_000) await process.book.opened(OBJECTIVE, 40_000);
    }
    expect(await redis.client.hlen(process.clockKey)).toBeLessThan(600);
  });
});

describe('a queue that outlasts a generation', () => {
  test('tags what waits anew, keeps its order, and serves newcomers at the present time', async () => {
    const process = await open();
    for (let job = 0; job < 30; job += 1) await process.add(`a-${job}`, 'a', HUGE);
    expect(await priorityOf(process, 'a-25')).toBe(LAST_TAG);
    const taken = await take(process, 12);
    await told(process, 1_100_000);
    await until(async () => (await priorityOf(process, 'a-12')) === 12 * 100_000 - GENERATION_TAGS + 1, 'a new tag');
    await until(async () => (await priorityOf(process, 'a-25')) === 25 * 100_000 - GENERATION_TAGS + 1, 'a new tag');
    expect(await scoreOf(process, 'a-12')).toBeLessThan(await scoreOf(process, 'a-13'));
    expect(await process.add('b-0', 'b', HUGE)).toBe(11 * 100_000 - GENERATION_TAGS + 1);
    await until(() => process.clock.sleeping > 0, 'stragglers are waited for');
    await process.clock.advance(15_000);
    await until(async () => (await process.book.opened(OBJECTIVE, 0)) === null, 'the roll-over is done');
    const rest = await take(process, 19);
    expect(rest[0]).toBe('b-0');
    expect([...taken, ...rest.slice(1)]).toEqual(Array.from({ length: 30 }, (_, job) => `a-${job}`));
  });

  test('tags items anew that are parked or held too, where they are', async () => {
    const process = await open();
    const start = GENERATION_TAGS + 5;
    for (const id of ['parked', 'held']) {
      const item = { id, objective: OBJECTIVE, start, tag: start + 1, acceptRef: 'run.seg:1:1', costTokens: 1 };
      await process.backlog.add(item);
    }
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const claimed: string[] = [];
    const intake = process.backlog.intake(OBJECTIVE, async ({ id }) => {
      claimed.push(id);
      if (id === 'held') await held;
      return { kind: 'delayed', delayMs: 60_000 };
    });
    intake.setWindow(2);
    await until(async () => (await redis.client.zcard(`${process.key}:delayed`)) === 1, 'one is parked');
    expect(await process.backlog.retag(OBJECTIVE, GENERATION_TAGS, () => Promise.resolve(true))).toBe(2);
    expect([await priorityOf(process, 'parked'), await priorityOf(process, 'held')]).toEqual([6, 6]);
    letGo();
    await until(async () => (await redis.client.zcard(`${process.key}:delayed`)) === 2, 'both are parked');
    expect(await priorityOf(process, 'held')).toBe(6);
    expect(await process.backlog.retag(OBJECTIVE, GENERATION_TAGS, () => Promise.resolve(true))).toBe(0);
    expect(claimed.toSorted()).toEqual(['held', 'parked']);
    await intake.close();
  });

  test('is taken over from a process that falls silent, not from one that is at it', async () => {
    const one = await open();
    const other = await open();
    for (let job = 0; job < 30; job += 1) await one.add(`a-${job}`, 'a', HUGE);
    expect(await one.book.opened(OBJECTIVE, 500_000)).toBeNull();
    expect(await one.book.opened(OBJECTIVE, GENERATION_TAGS)).toEqual({ base: GENERATION_TAGS });
    expect(await one.book.rollOver(OBJECTIVE, GENERATION_TAGS, false)).toBe(true);
    expect(await other.book.rollOver(OBJECTIVE, GENERATION_TAGS, false)).toBe(false);
    expect(await other.book.opened(OBJECTIVE, GENERATION_TAGS)).toBeNull();
    await redis.client.hset(one.clockKey, 'u', 1);
    expect(await other.book.opened(OBJECTIVE, GENERATION_TAGS)).toEqual({ base: GENERATION_TAGS });
    expect(await other.book.rollOver(OBJECTIVE, GENERATION_TAGS, false)).toBe(true);
    expect(await other.book.rollOver(OBJECTIVE, GENERATION_TAGS, true)).toBe(true);
    expect(await one.book.opened(OBJECTIVE, GENERATION_TAGS)).toBeNull();
  });
});
