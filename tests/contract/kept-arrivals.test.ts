import { beforeEach, describe, expect, test } from 'vitest';
import { ARRIVAL_KEPT_MS, type KeptArrivals } from '../../src/core/idempotency.ts';
import { MemoryArrivals, RedisArrivals } from '../../src/ingress/adapters/idempotency/kept-arrivals.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const clock = new FakeClock();
let round = 0;

beforeEach(() => {
  round += 1;
});

function inRedis(): RedisArrivals {
  return new RedisArrivals(redis.client, { prefix: `${redis.prefix}-${round}`, clock });
}

describe.each([
  ['memory', (): KeptArrivals => new MemoryArrivals(clock)],
  ['Redis', (): KeptArrivals => inRedis()],
])('kept arrivals in %s', (_name, create) => {
  test('are given out once, to the same tenant with the same request, the longest wait first', async () => {
    const arrivals = create();
    expect(arrivals.hasAny).toBe(false);
    arrivals.keep('acme', 'hash', 1_000);
    arrivals.keep('acme', 'hash', 2_000);
    expect(arrivals.hasAny).toBe(true);
    expect(await arrivals.take('umbrella', 'hash', true)).toBeNull();
    expect(await arrivals.take('acme', 'other', true)).toBeNull();
    expect(await arrivals.take('acme', 'hash', false)).toBe(1_000);
    expect(await arrivals.take('acme', 'hash', true)).toBeNull();
    expect(arrivals.hasAny).toBe(false);
  });

  test('are forgotten after a while', () => {
    const arrivals = create();
    arrivals.keep('acme', 'hash', 1_000);
    clock.freeze(ARRIVAL_KEPT_MS + 1);
    expect(arrivals.hasAny).toBe(false);
  });
});

test('one process keeps no more than 10,000, the oldest is forgotten first', async () => {
  const arrivals = new MemoryArrivals(clock);
  for (let call = 0; call <= 10_000; call += 1) arrivals.keep('acme', String(call), call);
  expect(await arrivals.take('acme', '0')).toBeNull();
  expect(await arrivals.take('acme', '1')).toBe(1);
});

test('a call comes back to its place at another replica when it is marked as sent again', async () => {
  const [one, two] = [inRedis(), inRedis()];
  one.keep('acme', 'hash', 1_000);
  await expect.poll(() => redis.client.keys(`${redis.prefix}-${round}:*`)).toHaveLength(1);
  const [name = ''] = await redis.client.keys(`${redis.prefix}-${round}:*`);
  expect(await redis.client.pttl(name)).toBeLessThanOrEqual(ARRIVAL_KEPT_MS);
  expect(await two.take('acme', 'hash', false)).toBeNull();
  expect(await two.take('acme', 'hash', true)).toBe(1_000);
  // Its own memory does not give it out a second time.
  expect(await one.take('acme', 'hash', false)).toBeNull();
});
