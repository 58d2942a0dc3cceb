import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { answerPlain, completed, failed } from '../../unit/ingress/support/fake-runner.ts';
import { GATEWAY_KEY, type Rig, startRig, until } from './rig.ts';

const CHAT = '/v1/chat/completions';
const RESPONSES = '/v1/responses';
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] };
const background = { model: 'tiny', input: 'hi', background: true };
const KEY = { 'idempotency-key': 'order-4711' };

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});
afterEach(() => rig.close());

async function told(response: Response): Promise<{ status: number; id?: string; code?: string; replayed: boolean }> {
  const { id, error } = (await response.json()) as { id?: string; error?: { code: string } | null };
  const replayed = response.headers.get('idempotent-replayed') === 'true';
  return { status: response.status, replayed, ...(id && { id }), ...(error && { code: error.code }) };
}

describe.each([
  {
    what: 'POST /v1/jobs',
    path: '/v1/jobs',
    body: { body: chat, objective: 'nightly' },
    headers: {},
    status: 202,
    other: { webhook: true },
  },
  {
    what: 'Prefer: respond-async',
    path: CHAT,
    body: chat,
    headers: { prefer: 'respond-async' },
    status: 202,
    other: { user: 'other' },
  },
  {
    what: 'a background response',
    path: RESPONSES,
    body: background,
    headers: {},
    status: 200,
    other: { user: 'other' },
  },
])('$what with a key', ({ path, body, headers, status, other }) => {
  const send = (key: Record<string, string>, changes: object = {}) =>
    rig.post(path, { ...body, ...changes }, { ...headers, ...key });

  test('sent twice is one job, and the second answer says so', async () => {
    const first = await told(await send(KEY));
    expect(first).toMatchObject({ status, replayed: false });
    expect(await told(await send(KEY))).toEqual({ ...first, replayed: true });
    expect(rig.jobs.specs).toHaveLength(1);
    expect(rig.jobs.specs[0]?.idempotency).toEqual({
      keyHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      requestHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
  });

  test('and another body is a conflict that official clients do not repeat', async () => {
    await send(KEY);
    const response = await send(KEY, other);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(response.headers.get('x-llm-d-request-dropped-reason')).toBe('rejected-idempotency-conflict');
    expect(await told(response)).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    expect(rig.jobs.specs).toHaveLength(1);
  });

  test('of another tenant is another key', async () => {
    const first = await told(await send(KEY));
    const second = await told(await send({ ...KEY, authorization: `Bearer ${GATEWAY_KEY}` }));
    expect(second.replayed).toBe(false);
    expect(second.id).not.toBe(first.id);
  });

  test('sent by many at once is one job; the others are told to ask again, or get it', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, async () => told(await send(KEY))));
    expect(rig.jobs.specs).toHaveLength(1);
    expect(new Set(answers.flatMap(({ id }) => id ?? [])).size).toBe(1);
    expect(answers.every(({ status: got, code }) => got === status || code === 'idempotency_in_progress')).toBe(true);
  });

  test('never shows the key in a log', async () => {
    await send(KEY);
    await send(KEY, other);
    expect(rig.logLines.join('')).not.toContain('4711');
  });
});

test('a replayed job is shown as it is by then, with its result when the caller waits for it', async () => {
  const { id } = await told(await rig.post('/v1/jobs', chat, KEY));
  const result = { httpStatus: 200, contentType: 'application/json', body: Buffer.from('{"ok":true}') };
  rig.jobs.finish(id ?? '', { kind: 'completed' }, result);
  const again = await rig.post('/v1/jobs', chat, { ...KEY, prefer: 'wait=5' });
  expect([again.status, again.headers.get('idempotent-replayed'), await again.text()]).toEqual([
    200,
    'true',
    '{"ok":true}',
  ]);
  const job = await rig.post('/v1/jobs', chat, KEY);
  expect([job.status, await job.json()]).toMatchObject([202, { id, object: 'job', status: 'completed' }]);
});

test('a replayed streamed response is streamed again', async () => {
  const body = { ...background, stream: true };
  await until(async () => (await rig.metric('pilotlight_ingress_held_calls')) === 0, 'nothing to run');
  const first = await rig.post(RESPONSES, body, KEY);
  const id = rig.jobs.specs[0]?.id ?? '';
  rig.jobs.finish(id, { kind: 'cancelled', httpStatus: 499, code: 'request_cancelled' });
  await first.text();
  const again = await rig.post(RESPONSES, body, KEY);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(await again.text()).toContain(`"id":"${id}"`);
  expect(rig.jobs.specs).toHaveLength(1);
});

test.each(['', 'a b', 'cl\u00e9', 'x'.repeat(256)])('the key %j is refused', async (key) => {
  for (const path of ['/v1/jobs', CHAT]) {
    const refused = await told(await rig.post(path, chat, { 'idempotency-key': key }));
    expect(refused).toMatchObject({ status: 400, code: 'invalid_value' });
  }
});

describe('a held call with a key', () => {
  test('is refused while one runs, and runs again afterwards', async () => {
    const release = Promise.withResolvers<undefined>();
    rig.runner.script = async (request, sink) => {
      await release.promise;
      return answerPlain(request, sink);
    };
    const first = rig.post(CHAT, chat, KEY);
    await until(() => rig.runner.requests.length === 1, 'the first to run');
    const second = await rig.post(CHAT, chat, KEY);
    expect(second.headers.get('retry-after')).toBe('2');
    expect(await told(second)).toMatchObject({ status: 409, code: 'idempotency_in_progress' });
    expect(await told(await rig.post('/v1/jobs', chat, KEY))).toMatchObject({ code: 'idempotency_conflict' });
    release.resolve(undefined);
    expect((await first).status).toBe(200);
    expect((await rig.post(CHAT, chat, KEY)).status).toBe(200);
    expect(rig.runner.requests).toHaveLength(2);
  });

  test('whose client left may be sent again at once', async () => {
    const gone = Promise.withResolvers<undefined>();
    rig.runner.script = async (_request, _sink, { signal }) => {
      signal.addEventListener('abort', () => gone.resolve(undefined));
      await gone.promise;
      return failed(new PilotlightError('request_cancelled', 'left'), false);
    };
    const client = new AbortController();
    const headers = { authorization: 'Bearer sk-acme', 'content-type': 'application/json', ...KEY };
    const body = JSON.stringify(chat);
    void fetch(rig.url + CHAT, { method: 'POST', headers, body, signal: client.signal }).catch(() => undefined);
    await until(() => rig.runner.requests.length === 1, 'the first to run');
    client.abort();
    await gone.promise;
    rig.runner.script = (request, sink) => Promise.resolve(answerPlain(request, sink));
    await until(async () => (await rig.post(CHAT, chat, KEY)).status === 200, 'the key to be free');
  });
});

describe('a call that comes again', () => {
  const lost = new PilotlightError('lease_lost', 'lost');
  const arrivals = () => rig.runner.requests.map(({ ticket }) => ticket.arrivedAtEpochMs);

  test('after it lost its place comes back to it, once', async () => {
    rig.runner.script = () => Promise.resolve(failed(lost, false));
    await rig.post(CHAT, chat);
    rig.runner.script = (request, sink) => Promise.resolve(answerPlain(request, sink));
    await rig.post(CHAT, { ...chat, user: 'another' });
    await rig.post(CHAT, chat, { authorization: `Bearer ${GATEWAY_KEY}` });
    await rig.post(CHAT, chat);
    await rig.post(CHAT, chat);
    expect(arrivals()).toEqual([null, null, null, expect.any(Number), null]);
  });

  test('keeps its place in an order by expiry too', async () => {
    const gateway = { authorization: `Bearer ${GATEWAY_KEY}`, 'x-llm-d-inference-objective': 'nightly' };
    rig.runner.script = () => Promise.resolve(failed(lost, false));
    await rig.post(CHAT, chat, gateway);
    await rig.post(CHAT, chat, gateway);
    const [first, second] = rig.runner.requests.map(({ ticket }) => ticket);
    expect(second?.arrivedAtEpochMs).toBeLessThanOrEqual(second!.expiresAtEpochMs! - 60_000);
    expect(second?.deadlineEpochMs).toBeLessThanOrEqual(first!.expiresAtEpochMs! + 5);
  });

  test.each([
    ['was answered', () => completed()],
    ['had its turn and failed upstream', () => failed(new PilotlightError('upstream_error', 'broke'), false)],
    ['broke off in its stream', () => failed(lost, true)],
    ['was refused', () => ({ kind: 'rejected', error: new PilotlightError('queue_full', 'full') }) as const],
  ])('and %s begins anew', async (_name, result) => {
    rig.runner.script = (request, sink) => {
      const end = result();
      return Promise.resolve(end.kind === 'completed' ? answerPlain(request, sink) : end);
    };
    await rig.post(CHAT, chat).then(
      (response) => response.text(),
      () => undefined,
    );
    await rig.post(CHAT, chat).then(
      (response) => response.text(),
      () => undefined,
    );
    expect(arrivals()).toEqual([null, null]);
  });
});

describe("the official client's own retries", () => {
  /** The answer to each first try is lost after the gateway has done its work. */
  function clientThatLosesAnswers(): OpenAI {
    const tried = new Set<string>();
    return new OpenAI({
      baseURL: `${rig.url}/v1`,
      apiKey: 'sk-acme',
      maxRetries: 2,
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const key = new Headers(init?.headers).get('idempotency-key') ?? '';
        if (tried.has(key)) return response;
        tried.add(key);
        await response.text();
        throw new TypeError('terminated');
      },
    });
  }

  test('make one job of a key, whose answer they then get', async () => {
    const client = clientThatLosesAnswers();
    const asked = { model: 'tiny', input: 'hi', background: true };
    const response = await client.responses.create(asked, { headers: KEY });
    expect(response.id).toBe(rig.jobs.specs[0]?.id);
    expect(rig.jobs.specs).toHaveLength(1);
  });

  test('run a held call again, once it is over', async () => {
    const client = clientThatLosesAnswers();
    const answer = await client.chat.completions.create(
      { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] },
      { headers: KEY },
    );
    expect(answer.choices[0]?.message.content).toBe('Hello there');
    expect(rig.runner.requests).toHaveLength(2);
  });
});
