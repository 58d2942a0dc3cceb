import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_QUOTAS } from '../../../src/core/tenants.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { MemoryRateStore } from '../../../src/queue/adapters/quotas/memory-rate-store.ts';
import { LeasedQuotas } from '../../../src/queue/quotas/leased-quotas.ts';
import { MeteredRunner } from '../../../src/queue/quotas/metered-runner.ts';
import { completed, FakeRunner } from '../../unit/ingress/support/fake-runner.ts';
import { GATEWAY_KEY, type Rig, startRig } from './rig.ts';

const CHAT = { model: 'tiny', max_tokens: 20, messages: [{ role: 'user', content: 'hi' }] };
const PATH = '/v1/chat/completions';

let rig: Rig;
let runner: FakeRunner;
let quotas: LeasedQuotas;
beforeEach(async () => {
  const limits = { ...NO_QUOTAS, requestsPerMinute: 2, tokensPerMinute: 1_000 };
  const tenants = { termsOf: (name: string) => ({ weight: 1, quotas: name === 'acme' ? limits : NO_QUOTAS }) };
  quotas = new LeasedQuotas({ store: new MemoryRateStore(systemClock), tenants, clock: systemClock });
  runner = new FakeRunner();
  rig = await startRig({ runner: new MeteredRunner({ runner, quotas, clock: systemClock }), quotas });
});
afterEach(async () => {
  await rig.close();
  await quotas.close();
});

test('calls within their rate tell what is left of it', async () => {
  const response = await rig.post(PATH, CHAT);
  expect(response.status).toBe(200);
  const told = Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('x-ratelimit-')));
  expect(told).toMatchObject({
    'x-ratelimit-limit-requests': '2',
    'x-ratelimit-remaining-requests': '1',
    'x-ratelimit-limit-tokens': '1000',
  });
  expect(told['x-ratelimit-reset-requests']).toMatch(/^(1m[01](\.\d+)?s|59(\.\d+)?s)$/);
  expect(Number(told['x-ratelimit-remaining-tokens'])).toBeLessThan(1_000);
});

test('a call over its rate is refused as OpenAI clients know it, with the quota, the limit and when to come back', async () => {
  runner.script = (_request, sink, { onSlot }) => {
    onSlot?.();
    sink.begin({ status: 200, headers: { 'content-type': 'application/json' } });
    sink.end();
    return Promise.resolve(completed());
  };
  await rig.post(PATH, CHAT);
  await rig.post(PATH, { ...CHAT, stream: true });
  const response = await rig.post(PATH, CHAT);
  expect(response.status).toBe(429);
  expect(await response.json()).toEqual({
    error: {
      message: "Tenant 'acme' may begin 2 requests a minute (quotas.requestsPerMinute). Try again later.",
      type: 'rate_limit_error',
      param: null,
      code: 'rate_limit_exceeded',
    },
  });
  const afterMs = Number(response.headers.get('retry-after-ms'));
  expect(afterMs).toBeGreaterThan(30_000);
  expect(afterMs).toBeLessThanOrEqual(61_000);
  expect(response.headers.get('retry-after')).toBe(String(Math.ceil(afterMs / 1_000)));
  expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('0');
  expect(runner.requests).toHaveLength(2);
});

test('tenants without quotas are told nothing of rates, and are not held to any', async () => {
  for (let call = 0; call < 5; call += 1) {
    const response = await rig.post(PATH, CHAT, { authorization: `Bearer ${GATEWAY_KEY}` });
    expect(response.status).toBe(200);
    expect([...response.headers.keys()].filter((name) => name.startsWith('x-ratelimit-'))).toEqual([]);
  }
});
