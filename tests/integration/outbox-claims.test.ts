import { describe, expect, test } from 'vitest';
import { RedisOutboxClaims } from '../../src/queue/adapters/job-index/redis-outbox-claims.ts';
import { useRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const MINUTE = 60_000;

function twoProcesses(name: string): [RedisOutboxClaims, RedisOutboxClaims] {
  const prefix = `${redis.prefix}:${name}`;
  return [new RedisOutboxClaims(redis.client, prefix), new RedisOutboxClaims(redis.client, prefix)];
}

describe('claims of ends that are to be announced', () => {
  test('are divided between processes, each end with one of them', async () => {
    const [first, second] = twoProcesses('divided');
    const ids = Array.from({ length: 500 }, (_, index) => `job-${index}`);
    const claimed = await Promise.all([first, second, first, second].map((claims) => claims.claim(ids, MINUTE)));
    expect(claimed.flatMap((mine) => [...mine]).sort()).toEqual(ids.toSorted());
  });

  test('run out', async () => {
    const [first, second] = twoProcesses('runs-out');
    expect(await first.claim(['a'], 50)).toEqual(new Set(['a']));
    await until(async () => (await second.claim(['a'], MINUTE)).has('a'), 'the claim has run out');
  });

  test('keep everybody away from an end that has to wait', async () => {
    const [first, second] = twoProcesses('deferred');
    await first.claim(['a', 'b'], 50);
    await first.defer('a', MINUTE);
    await until(async () => (await second.claim(['b'], MINUTE)).has('b'), 'the other claim has run out');
    expect(await second.claim(['a'], MINUTE)).toEqual(new Set());
  });

  test('of nothing ask nobody', async () => {
    expect(await twoProcesses('none')[0].claim([], MINUTE)).toEqual(new Set());
  });
});
