import { expect, test } from 'vitest';
import { createRedis, whenReady } from '../../../src/platform/redis/connection.ts';
import { RedisAttemptBook } from '../../../src/sqs/adapters/redis-attempt-book.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { useRedis } from '../../support/redis.ts';

const redis = useRedis();

test('tries are counted over all gateways, less those that were handed back in order, and forgotten with their message', async () => {
  const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  await whenReady(client, 20_000);
  const [one, other] = [new RedisAttemptBook(client, redis.prefix), new RedisAttemptBook(client, redis.prefix)];
  expect(await one.begin('m-1')).toBe(1);
  expect(await other.begin('m-1')).toBe(2);
  await other.undo('m-1');
  expect(await one.begin('m-1')).toBe(2);
  expect(await one.begin('m-2')).toBe(1);
  expect(await client.ttl(`${redis.prefix}:sqs:attempts:m-1`)).toBeGreaterThan(13 * 86_400);
  client.disconnect();
});
