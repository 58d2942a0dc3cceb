import { beforeEach, describe, expect, test } from 'vitest';
import { RedisSupplyBook } from '../../src/batch/adapters/rows/redis-supply-book.ts';
import { MemorySupplyBook } from '../../src/batch/rows/memory-supply-book.ts';
import type { SupplyBook } from '../../src/batch/rows/ports.ts';
import { seededRandom } from '../../src/core/random.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const POOL = 'default/chat';
let round = 0;

beforeEach(() => {
  round += 1;
});

const placeOf = (tenant: string) => ({ pool: POOL, objective: 'nightly', tenant });
const wish = (batchId: string, deadlineEpochMs: number, costTokens = 10_000, weight = 1) => ({
  batchId,
  deadlineEpochMs,
  costTokens,
  weight,
});

describe.each([
  ['memory', (): SupplyBook => new MemorySupplyBook(new FakeClock())],
  ['Redis', (): SupplyBook => new RedisSupplyBook(redis.client, `${redis.prefix}-${round}`)],
])('the supply book in %s', (_name, create) => {
  test('tags a tenant by what it had and its weight, a newcomer at the present time', async () => {
    const book = create();
    expect(await book.turn(placeOf('a'), wish('b1', 5))).toBe(1);
    expect(await book.turn(placeOf('a'), wish('b1', 5))).toBe(11);
    expect(await book.turn(placeOf('heavy'), wish('b2', 5, 10_000, 2))).toBe(1);
    expect(await book.turn(placeOf('heavy'), wish('b2', 5, 10_000, 2))).toBe(6);
    await book.opened(POOL, 'nightly', 11);
    await book.opened(POOL, 'nightly', 3);
    expect(await book.turn(placeOf('new/комната:1'), wish('b3', 5))).toBe(11);
    expect(await book.turn({ ...placeOf('a'), objective: 'urgent' }, wish('b1', 5))).toBe(1);
  });

  test("gives a tenant's turn to its earliest deadline, then to the next when that has left", async () => {
    const book = create();
    await book.turn(placeOf('a'), wish('soon', 1_700_000_000_000));
    expect(await book.turn(placeOf('a'), wish('later', 1_700_000_000_001))).toBeNull();
    expect(await book.turn(placeOf('b'), wish('other', 1_800_000_000_000))).toBe(1);
    await book.keep(placeOf('a'), wish('sooner', 1_600_000_000_000));
    expect(await book.turn(placeOf('a'), wish('soon', 1_700_000_000_000))).toBeNull();
    await book.leave(placeOf('a'), 'sooner');
    await book.leave(placeOf('a'), 'soon');
    expect(await book.turn(placeOf('a'), wish('later', 1_700_000_000_001))).toBe(11);
    await book.leave(placeOf('a'), 'never-there');
  });
});

test('memory and Redis give the same tags', async () => {
  const random = seededRandom(3);
  const books = [new MemorySupplyBook(new FakeClock()), new RedisSupplyBook(redis.client, `${redis.prefix}-${round}`)];
  for (let step = 0; step < 300; step += 1) {
    const tenant = `t${Math.floor(random.next() * 4)}`;
    const one = wish(
      `b${Math.floor(random.next() * 3)}`,
      Math.floor(random.next() * 5),
      1 + Math.floor(random.next() * 90_000),
      1 + Math.floor(random.next() * 3),
    );
    const tags = await Promise.all(books.map((book) => book.turn(placeOf(tenant), one)));
    expect(tags[1]).toBe(tags[0]);
    if (random.next() < 0.3) await Promise.all(books.map((book) => book.leave(placeOf(tenant), one.batchId)));
    const opened = tags[0] ?? null;
    if (opened !== null && random.next() < 0.5) {
      await Promise.all(books.map((book) => book.opened(POOL, 'nightly', opened)));
    }
  }
});
