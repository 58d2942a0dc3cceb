import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_QUOTAS, type TenantQuotas } from '../../src/core/tenants.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { RedisRateStore } from '../../src/queue/adapters/quotas/redis-rate-store.ts';
import { mostAhead } from '../../src/queue/policy/quotas/portion.ts';
import { LeasedQuotas } from '../../src/queue/quotas/leased-quotas.ts';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const NEVER = new AbortController().signal;
let round = 0;
let cleanUps: (() => Promise<void> | void)[];

beforeEach(() => {
  round += 1;
  cleanUps = [];
});
afterEach(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

async function replica(url: string, quotas: Partial<TenantQuotas>): Promise<LeasedQuotas> {
  const client = createRedis({ url, purpose: 'command', log: silentLogger });
  cleanUps.push(() => client.disconnect());
  await whenReady(client, 10_000);
  const leased = new LeasedQuotas({
    store: new RedisRateStore(client, redis.prefix, `quotas-${round}`),
    tenants: { termsOf: () => ({ weight: 1, quotas: { ...NO_QUOTAS, ...quotas } }) },
    clock: systemClock,
  });
  cleanUps.push(() => leased.close());
  return leased;
}

const replicas = (count: number, url: string, quotas: Partial<TenantQuotas>) =>
  Promise.all(Array.from({ length: count }, () => replica(url, quotas)));

test.each([
  { limit: 20, replicaCount: 3 },
  { limit: 2_000, replicaCount: 4 },
])('$replicaCount replicas grant $limit requests together, however they race', async ({ limit, replicaCount }) => {
  const all = await replicas(replicaCount, redis.url, { requestsPerMinute: limit });
  let granted = 0;
  await Promise.all(
    all.map(async (quotas) => {
      for (let group = 0; group < 100; group += 1) {
        const asked = Array.from({ length: limit / 50 + 1 }, () => quotas.take('acme', 1, NEVER));
        const answers = await Promise.all(asked);
        granted += answers.filter(({ kind }) => kind === 'granted').length;
      }
    }),
  );
  expect(granted).toBeLessThanOrEqual(limit);
  // What is missing is leased ahead, and comes back.
  expect(granted).toBeGreaterThanOrEqual(limit - replicaCount * mostAhead(limit));
  await until(async () => {
    const [first] = all;
    if ((await first?.take('acme', 1, NEVER))?.kind === 'granted') granted += 1;
    return granted === limit;
  }, 'what was leased ahead comes back');
});

test('tokens that were not used are free for other replicas at once', async () => {
  const [one, other] = (await replicas(2, redis.url, { tokensPerMinute: 1_000 })) as [LeasedQuotas, LeasedQuotas];
  const answer = await one.take('acme', 1_000, NEVER);
  expect((await other.take('acme', 1, NEVER)).kind).toBe('refused');
  if (answer.kind === 'granted') answer.grant.correct(300);
  await until(async () => (await other.take('acme', 700, NEVER)).kind === 'granted', 'the rest is free');
  expect((await other.take('acme', 1, NEVER)).kind).toBe('refused');
});

test('a Redis that is away refuses with queue_unavailable; after it is back, requests pass again', async () => {
  const own = await startDedicatedRedis();
  const quotas = await replica(own.url, { requestsPerMinute: 100 });
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('granted');
  await own.kill();
  const refused = async () => {
    const outcome = await quotas.take('acme', 1, NEVER).then(
      () => 'answered',
      (error: unknown) => (error as { code: string }).code,
    );
    return outcome === 'queue_unavailable';
  };
  await until(refused, 'it is refused');
  await own.restart();
  await until(
    async () => (await quotas.take('acme', 1, NEVER).catch(() => null))?.kind === 'granted',
    'it passes again',
  );
});
