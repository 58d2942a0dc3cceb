import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { NO_QUOTAS, type QuotaAnswer, type TenantQuotas } from '../../../../src/core/tenants.ts';
import { MemoryRateStore } from '../../../../src/queue/adapters/quotas/memory-rate-store.ts';
import { mostAhead } from '../../../../src/queue/policy/quotas/portion.ts';
import type { RateAsk, RateReply } from '../../../../src/queue/policy/quotas/exchange.ts';
import { LeasedQuotas } from '../../../../src/queue/quotas/leased-quotas.ts';
import type { RateStore } from '../../../../src/queue/quotas/ports.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';

const NEVER = new AbortController().signal;

class CountingStore implements RateStore {
  readonly asks: RateAsk[] = [];
  isAway = false;
  readonly #store: RateStore;

  constructor(store: RateStore) {
    this.#store = store;
  }

  async exchange(tenant: string, ask: RateAsk): Promise<RateReply> {
    if (this.isAway) throw new Error('connection lost');
    this.asks.push(ask);
    await Promise.resolve();
    return this.#store.exchange(tenant, ask);
  }
}

function world(quotas: Partial<TenantQuotas>, replicas = 1) {
  const clock = new FakeClock();
  const store = new CountingStore(new MemoryRateStore(clock));
  const terms = { weight: 1, quotas: { ...NO_QUOTAS, ...quotas } };
  const tenants = { termsOf: (tenant: string) => (tenant === 'free' ? { weight: 1, quotas: NO_QUOTAS } : terms) };
  const all = Array.from({ length: replicas }, () => new LeasedQuotas({ store, tenants, clock, maxTenants: 3 }));
  return { clock, store, terms, all, quotas: all[0] as LeasedQuotas };
}

const grantOf = (answer: QuotaAnswer) => {
  if (answer.kind !== 'granted') throw new Error(`refused for ${answer.afterMs} ms`);
  return answer.grant;
};

test('a small limit is exact, and says when the next request passes', async () => {
  const { quotas, clock } = world({ requestsPerMinute: 3 });
  for (let call = 0; call < 3; call += 1) expect((await quotas.take('acme', 100, NEVER)).kind).toBe('granted');
  const refused = await quotas.take('acme', 100, NEVER);
  expect(refused).toMatchObject({ kind: 'refused', limit: 'requestsPerMinute', limitPerMinute: 3 });
  if (refused.kind !== 'refused') return;
  await clock.advance(refused.afterMs);
  expect((await quotas.take('acme', 100, NEVER)).kind).toBe('granted');
});

test('a tenant without quotas asks nobody', async () => {
  const { quotas, store } = world({ requestsPerMinute: 1 });
  for (let call = 0; call < 50; call += 1) expect((await quotas.take('free', 1e9, NEVER)).kind).toBe('granted');
  expect(store.asks).toHaveLength(0);
  expect(quotas.state('free')).toEqual({ requests: null, tokens: null });
});

test('a busy tenant is answered from what is leased most of the time', async () => {
  const { quotas, store, clock } = world({ requestsPerMinute: 60_000, tokensPerMinute: 60_000_000 });
  for (let second = 0; second < 10; second += 1) {
    for (let call = 0; call < 100; call += 1) {
      expect((await quotas.take('acme', 500, NEVER)).kind).toBe('granted');
      await clock.advance(10);
    }
  }
  expect(store.asks.length).toBeLessThan(100);
});

test('requests that come together share one exchange and are answered in order', async () => {
  const { quotas, store } = world({ requestsPerMinute: 30 });
  const answers = await Promise.all(Array.from({ length: 40 }, () => quotas.take('acme', 1, NEVER)));
  expect(answers.map(({ kind }) => kind)).toEqual(answers.map((_, place) => (place < 30 ? 'granted' : 'refused')));
  expect(store.asks.length).toBeLessThanOrEqual(3);
});

test('a flood of refused requests does not reach the store', async () => {
  const { quotas, store } = world({ requestsPerMinute: 1 });
  await quotas.take('acme', 1, NEVER);
  for (let call = 0; call < 1_000; call += 1) expect((await quotas.take('acme', 1, NEVER)).kind).toBe('refused');
  expect(store.asks).toHaveLength(2);
});

test('a request that was not run gives back exactly what it took, once', async () => {
  const { quotas, clock } = world({ requestsPerMinute: 1, tokensPerMinute: 100 });
  const grant = grantOf(await quotas.take('acme', 100, NEVER));
  grant.giveBack();
  grant.giveBack();
  grant.correct(0);
  await clock.advance(500);
  expect(quotas.state('acme')).toMatchObject({ requests: { remaining: 1 }, tokens: { remaining: 100 } });
  expect((await quotas.take('acme', 100, NEVER)).kind).toBe('granted');
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('refused');
  await quotas.close();
});

test.each([
  [40, 60],
  [100, 0],
  [130, -30],
  [9_999, -100],
])('a request of 100 tokens that used %i leaves %i of 100', async (actual, left) => {
  const { quotas, clock } = world({ tokensPerMinute: 100 });
  grantOf(await quotas.take('acme', 100, NEVER)).correct(actual);
  await clock.advance(500);
  expect(quotas.state('acme').tokens?.remaining).toBe(Math.max(0, left));
  const next = await quotas.take('acme', Math.max(1, left), NEVER);
  expect(next.kind).toBe(left > 0 ? 'granted' : 'refused');
  await clock.advance(62_000);
  expect((await quotas.take('acme', 100, NEVER)).kind).toBe('granted');
  await quotas.close();
});

test('what came back a minute late frees nothing', async () => {
  const { quotas, clock } = world({ tokensPerMinute: 100 });
  const early = grantOf(await quotas.take('acme', 100, NEVER));
  await clock.advance(62_000);
  await quotas.take('acme', 100, NEVER);
  early.correct(0);
  await clock.advance(500);
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('refused');
  await quotas.close();
});

test('what one replica leased and does not use is free for the others within three seconds', async () => {
  const { all, clock } = world({ requestsPerMinute: 3_200 }, 2);
  const [one, other] = all as [LeasedQuotas, LeasedQuotas];
  for (let call = 0; call < 1_000; call += 1) await one.take('acme', 1, NEVER);
  let passed = 1_000;
  while ((await other.take('acme', 1, NEVER)).kind === 'granted') passed += 1;
  await clock.advance(3_000);
  while ((await other.take('acme', 1, NEVER)).kind === 'granted') passed += 1;
  expect(passed).toBe(3_200);
  await Promise.all([one.close(), other.close()]);
});

test('while the store is away what was leased is used, then requests are refused with queue_unavailable', async () => {
  const { quotas, store, clock } = world({ requestsPerMinute: 60_000 });
  for (let call = 0; call < 200; call += 1) {
    await quotas.take('acme', 1, NEVER);
    await clock.advance(1);
  }
  store.isAway = true;
  let used = 0;
  const error = await (async (): Promise<unknown> => {
    for (;;) {
      await quotas.take('acme', 1, NEVER);
      used += 1;
    }
  })().catch((thrown: unknown) => thrown);
  expect(used).toBeLessThanOrEqual(mostAhead(60_000));
  expect(error).toBeInstanceOf(PilotlightError);
  expect(error).toMatchObject({ code: 'queue_unavailable', retryAfterMs: 2_000 });
  store.isAway = false;
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('granted');
  await quotas.close();
});

test('a limit that changes acts at once', async () => {
  const { quotas, terms, clock } = world({ requestsPerMinute: 1 });
  await quotas.take('acme', 1, NEVER);
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('refused');
  terms.quotas = { ...terms.quotas, requestsPerMinute: 2 };
  await clock.advance(100);
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('granted');
});

test('a caller that leaves while the store is asked takes nothing', async () => {
  const { quotas, clock } = world({ requestsPerMinute: 1 });
  const leaver = new AbortController();
  const taking = quotas.take('acme', 1, leaver.signal);
  leaver.abort(new Error('left'));
  await expect(taking).rejects.toThrow('left');
  await settleMicrotasks();
  await clock.advance(500);
  expect((await quotas.take('acme', 1, NEVER)).kind).toBe('granted');
  await expect(quotas.take('acme', 1, leaver.signal)).rejects.toThrow('left');
  await quotas.close();
});

test('what other replicas use is known a moment after it was asked for', async () => {
  const { all, clock } = world({ requestsPerMinute: 5 }, 2);
  const [one, other] = all as [LeasedQuotas, LeasedQuotas];
  for (let call = 0; call < 5; call += 1) await one.take('acme', 1, NEVER);
  expect(other.state('acme').requests?.remaining).toBe(5);
  await clock.advance(500);
  const known = other.state('acme').requests;
  expect(known).toMatchObject({ limitPerMinute: 5, remaining: 0 });
  expect(known?.resetMs).toBeGreaterThan(50_000);
  await clock.advance(62_000);
  expect(other.state('acme').requests).toEqual({ limitPerMinute: 5, remaining: 5, resetMs: 0 });
  await Promise.all(all.map((quotas) => quotas.close()));
});

test('only so many tenants are remembered', async () => {
  const { quotas, store } = world({ requestsPerMinute: 5 });
  for (let tenant = 0; tenant < 50; tenant += 1) await quotas.take(`t${tenant}`, 1, NEVER);
  expect(store.asks).toHaveLength(50);
  expect(quotas.remembered).toBe(3);
});

test('never more than the limit and one portion of each replica in any minute, however replicas interleave', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 50, max: 20_000 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer(),
      async (requestsPerMinute, tokensPerMinute, replicas, seed) => {
        const { all, clock } = world({ requestsPerMinute, tokensPerMinute }, replicas);
        const random = seededRandom(seed);
        const grants: { readonly atMs: number; readonly tokens: number }[] = [];
        const took = async (quotas: LeasedQuotas): Promise<void> => {
          const tokens = 1 + Math.floor(random.next() * Math.min(50, tokensPerMinute));
          const answer = await quotas.take('acme', tokens, NEVER);
          if (answer.kind === 'refused') return;
          if (random.next() < 0.2) answer.grant.giveBack();
          else grants.push({ atMs: clock.monotonicMs(), tokens });
        };
        for (let step = 0; step < 60; step += 1) {
          const burst = Math.floor(random.next() * 30);
          await Promise.all(
            Array.from({ length: burst }, () => took(all[Math.floor(random.next() * replicas)] as LeasedQuotas)),
          );
          await clock.advance(Math.floor(random.next() * 5_000));
        }
        const most = {
          requests: requestsPerMinute + replicas * mostAhead(requestsPerMinute),
          tokens: tokensPerMinute + replicas * mostAhead(tokensPerMinute),
        };
        for (const { atMs } of grants) {
          const inMinute = grants.filter((grant) => grant.atMs >= atMs && grant.atMs < atMs + 60_000);
          expect(inMinute.length).toBeLessThanOrEqual(most.requests);
          expect(inMinute.reduce((sum, { tokens }) => sum + tokens, 0)).toBeLessThanOrEqual(most.tokens);
        }
        await Promise.all(all.map((quotas) => quotas.close()));
      },
    ),
    { numRuns: 25 },
  );
});

test('no replica starves: who comes back when it was told passes', async () => {
  const { all, clock } = world({ requestsPerMinute: 60 }, 3);
  const passed = [0, 0, 0];
  for (let second = 0; second < 300; second += 1) {
    for (const [index, quotas] of all.entries()) {
      if ((await quotas.take('acme', 1, NEVER)).kind === 'granted') passed[index] = (passed[index] ?? 0) + 1;
    }
    all.push(all.shift() as LeasedQuotas);
    passed.push(passed.shift() as number);
    await clock.advance(1_000);
  }
  for (const count of passed) expect(count).toBeGreaterThan(60);
  await Promise.all(all.map((quotas) => quotas.close()));
});
