import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { RedisPublishRight } from '../../src/dispatcher/adapters/redis-publish-right.ts';
import type { EndpointKnowledge } from '../../src/dispatcher/ports.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();

function open(
  owner: string,
  key: string,
  clock: Clock = systemClock,
  knowledge: () => EndpointKnowledge = () => 'live',
): RedisPublishRight {
  const right = new RedisPublishRight({ command: redis.client, key, owner, clock, knowledge });
  onTestFinished(() => right.close());
  return right;
}

test('of two processes one holds the right, and the other gets it when the first closes', async () => {
  const key = `${redis.prefix}:right-a`;
  const first = open('first', key);
  await until(() => first.isHeld(), 'the first to hold it');
  const second = open('second', key);
  let changes = 0;
  second.onChange(() => {
    changes += 1;
  });
  expect(second.isHeld()).toBe(false);
  await first.close();
  expect(first.isHeld()).toBe(false);
  await until(() => second.isHeld(), 'the second to hold it');
  expect(changes).toBe(1);
});

test('a right that cannot be renewed is no longer relied on before Redis would give it to another', async () => {
  const key = `${redis.prefix}:right-b`;
  const clock = new FakeClock();
  const right = open('stalled', key, clock);
  await until(() => right.isHeld(), 'it to be held');
  // Time passes without the process running: the loop never got to renew.
  clock.freeze(2_000);
  expect(right.isHeld()).toBe(false);
  expect(await redis.client.get(key)).toBe('stalled');
});

test('a right of a process that died passes on once it has expired', async () => {
  const key = `${redis.prefix}:right-c`;
  await redis.client.set(key, 'dead', 'PX', 50);
  const heir = open('heir', key);
  await until(() => heir.isHeld(), 'the heir to hold it');
});

/** Passes the second until it claims again, once its last claim was answered. */
async function oneMore(clock: FakeClock): Promise<void> {
  await until(() => clock.sleeping > 0, 'the claim to be answered');
  await clock.advance(1_000);
  await until(() => clock.sleeping > 0, 'the next claim to be answered');
}

test('a process that knows nothing of the endpoints leaves the right to others, and gives it up', async () => {
  const key = `${redis.prefix}:right-d`;
  const clock = new FakeClock();
  let knowledge: EndpointKnowledge = 'none';
  const right = open('newcomer', key, clock, () => knowledge);
  await oneMore(clock);
  expect(await redis.client.exists(key)).toBe(0);
  knowledge = 'live';
  await oneMore(clock);
  expect(right.isHeld()).toBe(true);
  knowledge = 'none';
  await oneMore(clock);
  expect(right.isHeld()).toBe(false);
  expect(await redis.client.exists(key)).toBe(0);
});

test('who knows the endpoints as they are takes the right from who knows them as they were', async () => {
  const key = `${redis.prefix}:right-e`;
  const [staleClock, alsoStaleClock, liveClock] = [new FakeClock(), new FakeClock(), new FakeClock()];
  const stale = open('stale', key, staleClock, () => 'old');
  await until(() => stale.isHeld(), 'the stale one to hold it while nobody knows better');
  const alsoStale = open('also-stale', key, alsoStaleClock, () => 'old');
  await until(() => alsoStaleClock.sleeping > 0, 'the other stale one to be answered');
  expect(alsoStale.isHeld()).toBe(false);
  let told = 0;
  const live = open('live', key, liveClock);
  live.onChange(() => {
    told += 1;
  });
  await until(() => live.isHeld(), 'the live one to hold it');
  await oneMore(staleClock);
  expect(stale.isHeld()).toBe(false);
  // What the stale one still had on its way is overwritten again.
  expect(told).toBe(1);
  for (let passedMs = 0; passedMs < 3_000; passedMs += 1_000) await oneMore(liveClock);
  expect(told).toBe(2);
  expect(live.isHeld()).toBe(true);
});
