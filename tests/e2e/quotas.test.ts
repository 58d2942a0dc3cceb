import { createHash } from 'node:crypto';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const CHAT = { model: 'sim', max_tokens: 5, messages: [{ role: 'user' as const, content: 'hi' }] };
const KEYS = { limited: 'sk-limited', free: 'sk-free' } as const;

function keysOf(tenant: keyof typeof KEYS): string[] {
  return [`sha256:${createHash('sha256').update(KEYS[tenant]).digest('hex')}`];
}

test('a tenant over its rate is told when to come back, its jobs wait, and others go on', async () => {
  const tenants = [
    { name: 'limited', keys: keysOf('limited'), quotas: { requestsPerMinute: 3 } },
    { name: 'free', keys: keysOf('free') },
  ];
  const serve = await prepareServe(poolYaml({ keepWarm: '30s', maxReplicas: 1, settings: { tenants } }));
  await serve.start();
  const clientOf = (tenant: keyof typeof KEYS) =>
    new OpenAI({ baseURL: `${serve.apiUrl}/v1`, apiKey: KEYS[tenant], maxRetries: 0 });
  const limited = clientOf('limited');
  for (let call = 0; call < 3; call += 1) await limited.chat.completions.create(CHAT);
  const error: unknown = await limited.chat.completions.create(CHAT).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.RateLimitError);
  const { code, headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
  expect(code).toBe('rate_limit_exceeded');
  expect(headers.get('x-ratelimit-limit-requests')).toBe('3');
  expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
  expect(Number(headers.get('retry-after-ms'))).toBeGreaterThan(10_000);

  const parked = await limited.responses.create({ model: 'sim', input: 'hi', background: true });
  const free = clientOf('free');
  const other = await free.responses.create({ model: 'sim', input: 'hi', background: true, max_output_tokens: 5 });
  await until(
    async () => !['queued', 'in_progress'].includes((await free.responses.retrieve(other.id)).status ?? ''),
    'the job of the other tenant',
    30_000,
  );
  expect((await limited.responses.retrieve(parked.id)).status).toBe('queued');
  const metrics = await (await fetch(`${serve.adminUrl}/metrics`)).text();
  expect(metrics).toMatch(/^pilotlight_tenant_quota_requests_total\{tenant="limited",answer="granted"\} 3$/m);
  expect(metrics).not.toContain('tenant="free"');
});
