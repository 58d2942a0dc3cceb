import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { RedisPublishRight } from '../../src/dispatcher/adapters/redis-publish-right.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();

function open(owner: string, key: string, clock: Clock = systemClock): RedisPublishRight {
  const right = new RedisPublishRight({ command: redis.client, key, owner, clock });
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
