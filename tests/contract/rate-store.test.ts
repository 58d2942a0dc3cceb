import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryRateStore } from '../../src/queue/adapters/quotas/memory-rate-store.ts';
import { RedisRateStore } from '../../src/queue/adapters/quotas/redis-rate-store.ts';
import { exchange, type RateAsk, type RateReply, type TenantWindows } from '../../src/queue/policy/quotas/exchange.ts';
import type { RateStore } from '../../src/queue/quotas/ports.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let round = 0;

beforeEach(() => {
  round += 1;
});

const NONE = { need: 0, more: 0, ahead: 0 };
const ask = (parts: Partial<RateAsk>): RateAsk => ({
  limits: { requests: 10, tokens: 1_000 },
  requests: NONE,
  tokens: NONE,
  returns: [],
  debtTokens: 0,
  ...parts,
});
const one = (tokens: number) => ask({ requests: { ...NONE, need: 1 }, tokens: { ...NONE, need: tokens } });

const redisStore = () => new RedisRateStore(redis.client, redis.prefix, `main-${round}`);

describe.each([
  ['memory', (): RateStore => new MemoryRateStore(new FakeClock())],
  ['Redis', (): RateStore => redisStore()],
])('the rate store in %s', (_name, create) => {
  test('leases up to the limit of each quota, then says which one refused and for how long', async () => {
    const store = create();
    expect((await store.exchange('acme', one(600))).granted).toEqual({ requests: 1, tokens: 600 });
    const refused = await store.exchange('acme', one(401));
    expect(refused).toMatchObject({ granted: null, refused: { limit: 'tokens' }, requests: { used: 1 } });
    expect(refused.refused?.afterMs).toBeGreaterThan(50_000);
    expect(refused.refused?.afterMs).toBeLessThanOrEqual(61_000);
    const full = await store.exchange('acme', ask({ requests: { need: 0, more: 50, ahead: 0 } }));
    expect(full.granted).toEqual({ requests: 9, tokens: 0 });
    expect((await store.exchange('acme', one(1))).refused?.limit).toBe('requests');
  });

  test('leases ahead only a quarter of what would be left', async () => {
    const reply = await create().exchange('acme', ask({ requests: { need: 2, more: 0, ahead: 100 } }));
    expect(reply.granted?.requests).toBe(4);
  });

  test('takes back what was not used, and nothing twice', async () => {
    const store = create();
    const { slot } = await store.exchange('acme', one(900));
    const back = await store.exchange('acme', ask({ returns: [{ slot, requests: 1, tokens: 300 }] }));
    expect(back).toMatchObject({ requests: { used: 0 }, tokens: { used: 600 } });
    const more = await store.exchange('acme', ask({ returns: [{ slot, requests: 5, tokens: 9_000 }] }));
    expect(more).toMatchObject({ requests: { used: 0, resetMs: 0 }, tokens: { used: 0, resetMs: 0 } });
    const old = await store.exchange('acme', ask({ returns: [{ slot: slot - 100, requests: 1, tokens: 1 }] }));
    expect(old).toMatchObject({ requests: { used: 0 }, tokens: { used: 0 } });
  });

  test('lets a request above the whole limit pass when nothing else counts, and a debt grow to twice the limit', async () => {
    const store = create();
    expect((await store.exchange('acme', one(5_000))).granted?.tokens).toBe(5_000);
    expect((await store.exchange('acme', one(1))).granted).toBeNull();
    const owed = await store.exchange('other', ask({ debtTokens: 1_500 }));
    expect(owed.tokens.used).toBe(1_500);
    expect((await store.exchange('other', ask({ debtTokens: 1_500 }))).tokens.used).toBe(2_000);
  });

  test('keeps tenants apart, whatever they are called, and quotas that are not there free', async () => {
    const store = create();
    await store.exchange('a}:{b', one(1_000));
    expect((await store.exchange('a', one(1_000))).granted).toEqual({ requests: 1, tokens: 1_000 });
    const unlimited = { ...one(1_000), limits: { requests: null, tokens: null } };
    expect((await store.exchange('a', unlimited)).granted).toEqual({ requests: 0, tokens: 0 });
  });
});

test('what was leased a minute ago counts no more', async () => {
  const clock = new FakeClock();
  const store = new MemoryRateStore(clock);
  await store.exchange('acme', one(1_000));
  const { refused } = await store.exchange('acme', one(1));
  await clock.advance((refused?.afterMs ?? 0) - 1);
  expect((await store.exchange('acme', one(1))).granted).toBeNull();
  await clock.advance(1);
  expect((await store.exchange('acme', one(1))).granted).not.toBeNull();
});

test('the memory of idle tenants is given up', async () => {
  const clock = new FakeClock();
  const store = new MemoryRateStore(clock);
  for (let tenant = 0; tenant < 100; tenant += 1) await store.exchange(`t${tenant}`, one(1));
  await clock.advance(62_000);
  for (let again = 0; again < 20; again += 1) await store.exchange('busy', one(1));
  expect(store.size).toBe(1);
});

test('keys of a tenant have one hash tag and end by themselves', async () => {
  await redisStore().exchange('acme', one(10));
  const keys = await redis.client.keys(`${redis.prefix}:{main-${round}/tenant/acme}:*`);
  expect(keys.sort().map((key) => key.split('}:')[1])).toEqual(['rate-requests', 'rate-tokens']);
  for (const key of keys) expect(await redis.client.pttl(key)).toBeGreaterThan(60_000);
});

const wishes = fc.record({ need: fc.nat(30), more: fc.nat(20), ahead: fc.nat(20) });
const steps = fc.record({
  requests: wishes,
  tokens: wishes,
  debtTokens: fc.nat(40),
  returns: fc.array(fc.record({ age: fc.integer({ min: 0, max: 70 }), requests: fc.nat(9), tokens: fc.nat(30) }), {
    maxLength: 3,
  }),
  limits: fc.record({
    requests: fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 60 })),
    tokens: fc.integer({ min: 1, max: 90 }),
  }),
});
const before = fc.array(fc.record({ age: fc.integer({ min: -2, max: 70 }), units: fc.integer({ min: 1, max: 20 }) }));

test('Redis does exactly what the specification says', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(before, before, fc.array(steps, { maxLength: 12 }), async (requests, tokens, asks) => {
      run += 1;
      const store = new RedisRateStore(redis.client, redis.prefix, `same-${run}`);
      const root = `${redis.prefix}:{same-${run}/tenant/acme}`;
      const start = Number((await redis.client.time())[0]);
      const windows: TenantWindows = { requests: new Map(), tokens: new Map() };
      for (const { age, units } of requests) windows.requests.set(start - age, units);
      for (const { age, units } of tokens) windows.tokens.set(start - age, units);
      if (requests.length > 0) await redis.client.hset(`${root}:rate-requests`, windows.requests);
      if (tokens.length > 0) await redis.client.hset(`${root}:rate-tokens`, windows.tokens);
      for (const step of asks) {
        const returns = step.returns.map(({ age, ...units }) => ({ ...units, slot: start - age }));
        const asked = { ...step, returns };
        const reply = await store.exchange('acme', asked);
        expect(reply).toEqual(exchange(windows, asked, clockOf(reply)));
      }
    }),
    { numRuns: 60 },
  );

  /** Milliseconds of the server's clock at the exchange: they are found in what it says of the future. */
  function clockOf({ slot, requests, tokens }: RateReply): number {
    const restMs = (requests.resetMs || tokens.resetMs) % 1_000;
    return slot * 1_000 + (restMs === 0 ? 0 : 1_000 - restMs);
  }
});
