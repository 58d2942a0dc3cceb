import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Rig, startRig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.close());

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] };
const TTL = 'x-llm-d-inference-ttl';

/** How long the last call may wait, as its ticket says. */
function waitMs(from: number): number {
  return (rig.runner.requests.at(-1)?.ticket.expiresAtEpochMs ?? Number.NaN) - from;
}

test.each([
  { name: 'a header', body: chat, headers: { [TTL]: '90s' }, wantMs: 90_000 },
  { name: 'its body', body: { ...chat, pilotlight: { ttl: '1m' } }, headers: {}, wantMs: 60_000 },
  {
    name: 'both, of which the shorter counts',
    body: { ...chat, pilotlight: { ttl: '2m' } },
    headers: { [TTL]: '5s' },
    wantMs: 5_000,
  },
])('a call says how long it waits in $name', async ({ body, headers, wantMs }) => {
  const before = Date.now();
  const response = await rig.post('/v1/chat/completions', body, headers);
  expect(response.status).toBe(200);
  expect(waitMs(before)).toBeGreaterThanOrEqual(wantMs);
  expect(waitMs(Date.now())).toBeLessThanOrEqual(wantMs);
  expect(Buffer.from(rig.runner.requests.at(-1)?.call.body ?? '').toString()).toBe(JSON.stringify(chat));
});

test('a call names its objective in its body, on any path', async () => {
  await rig.post('/v1/chat/completions', { ...chat, pilotlight: { objective: 'nightly' } });
  expect(rig.runner.requests.at(-1)?.ticket).toMatchObject({ objective: 'nightly' });
});

test.each([
  { name: 'a header without a unit', body: chat, headers: { [TTL]: '30' }, param: TTL },
  { name: 'a field out of range', body: { ...chat, pilotlight: { ttl: '0s' } }, headers: {}, param: 'pilotlight.ttl' },
])('$name is refused with its name', async ({ body, headers, param }) => {
  const response = await rig.post('/v1/chat/completions', body, headers);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: {
      type: 'invalid_request_error',
      code: 'invalid_value',
      param,
      message: expect.stringContaining(param) as string,
    },
  });
});

test('the deadline of a job is no later than its TTL', async () => {
  const before = Date.now();
  const response = await rig.post('/v1/jobs', { body: chat, deadline: '2h' }, { [TTL]: '10s' });
  expect(response.status).toBe(202);
  const { deadline_at: deadlineAt } = (await response.json()) as { deadline_at: number };
  expect(deadlineAt * 1_000).toBeGreaterThanOrEqual(before + 9_000);
  expect(deadlineAt * 1_000).toBeLessThanOrEqual(Date.now() + 10_000);
});
