import { get } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import {
  answerStream,
  beginStream,
  CHAT_ANSWER,
  chunkEvent,
  completed,
  failed,
} from '../../unit/ingress/support/fake-runner.ts';
import { API_KEY, type Rig, startRig, until } from './rig.ts';

const CHAT = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'hi' }];

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});
afterEach(() => rig.close());

describe('a call', () => {
  test('is answered with what the model server said', async () => {
    const response = await rig.post(CHAT, { model: 'tiny', messages }, { 'x-request-id': 'mine-1' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(CHAT_ANSWER);
    expect(response.headers.get('x-request-id')).toBe('mine-1');
    expect(response.headers.get('x-pilotlight-queue-ms')).toBe('12');
    expect(response.headers.get('server')).toBeNull();
    expect(response.headers.get('x-powered-by')).toBeNull();
    expect(response.headers.get('x-pilotlight-endpoint')).toBeNull();
  });

  test('is forwarded byte for byte, unknown fields and odd spacing included', async () => {
    const body =
      '{ "model":"tiny","guided_json":{"a":[1]},"seed":9007199254740993,"messages":[{"role":"user","content":"\\u00fc"}]}';
    await rig.post(CHAT, body);
    const { call } = rig.runner.requests[0]!;
    expect(Buffer.from(call.body).toString()).toBe(body);
    expect(call.promptText()).toBe('user\nü\n');
  });

  test('to an alias is forwarded with the served name in it, the rest as it came', async () => {
    await rig.post(
      CHAT,
      '{"seed":9007199254740993,"model" : "gpt-4o-mini","messages":[{"role":"user","content":"x"}]}',
    );
    const { call } = rig.runner.requests[0]!;
    expect(call).toMatchObject({ model: 'gpt-4o-mini', servedModel: 'tiny' });
    expect(Buffer.from(call.body).toString()).toBe(
      '{"seed":9007199254740993,"model" : "tiny","messages":[{"role":"user","content":"x"}]}',
    );
  });

  test('has an id of its own, so that callers who reuse a request id do not meet', async () => {
    const headers = { 'x-request-id': 'same', traceparent: '00-a-b-01', cookie: 'a=b' };
    await rig.post(CHAT, { model: 'tiny', messages }, headers);
    await rig.post(CHAT, { model: 'tiny', messages }, headers);
    const [first, second] = rig.runner.requests;
    expect(first!.ticket.id).toMatch(/^req_[0-9a-f]{32}$/);
    expect(first!.ticket.id).not.toBe(second!.ticket.id);
    expect(first!.call.forwardHeaders).toEqual({ 'x-request-id': 'same', traceparent: '00-a-b-01' });
  });

  test('with an unusable request id gets a new one', async () => {
    const response = await rig.post(CHAT, { model: 'tiny', messages }, { 'x-request-id': 'a b' });
    expect(response.headers.get('x-request-id')).toBe(rig.runner.requests[0]!.ticket.id);
  });

  test('that waits reads its prompt from the bytes again', async () => {
    rig.runner.script = ({ call }, sink) => {
      sink.waiting({ position: 0, phase: 'queued', etaMs: null });
      sink.begin({ status: 200, headers: { 'content-type': 'text/plain' } });
      sink.write(Buffer.from(call.promptText()));
      sink.end();
      return Promise.resolve(completed());
    };
    expect(await (await rig.post(CHAT, { model: 'tiny', messages })).text()).toBe('user\nhi\n');
  });
});

describe('a client that leaves', () => {
  test.each([{ stream: false }, { stream: true }])('ends its call at once (stream: $stream)', async ({ stream }) => {
    let left: unknown = null;
    rig.runner.script = (_request, sink, { signal }) => {
      sink.waiting({ position: 0, phase: 'waking', etaMs: 60_000 });
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          left = signal.reason;
          reject(signal.reason as Error);
        });
      });
    };
    const abort = new AbortController();
    const call = fetch(rig.url + CHAT, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', messages, stream }),
      signal: abort.signal,
    }).then((response) => response.text());
    call.catch(() => undefined);
    await until(() => rig.runner.requests.length === 1, 'the call to arrive');
    abort.abort();
    await until(() => left !== null, 'the call to be aborted');
    expect(left).toMatchObject({ code: 'request_cancelled' });
    await until(async () => (await rig.metric('pilotlight_ingress_held_calls')) === 0, 'its place to be given back');
    expect(await rig.metric('pilotlight_ingress_errors_total')).toBe(0);
    expect(rig.logLines).toEqual([]);
  });

  test('a client that stays is not taken for gone', async () => {
    let aborted = false;
    rig.runner.script = (_request, sink, { signal }) => {
      signal.addEventListener('abort', () => (aborted = true));
      return Promise.resolve(answerStream(sink, ['a']));
    };
    await (await rig.post(CHAT, { model: 'tiny', messages, stream: true })).text();
    expect(aborted).toBe(false);
  });
});

describe('a failure', () => {
  test('of the wait is told with the other way to ask, and a measured time to come back', async () => {
    const exceeded = new PilotlightError('max_hold_exceeded', 'too long');
    rig.runner.script = () => Promise.resolve(failed(exceeded, false));
    const response = await rig.post(CHAT, { model: 'tiny', messages });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('7');
    expect(response.headers.get('retry-after-ms')).toBe('7000');
    expect(response.headers.get('x-llm-d-request-dropped-reason')).toBe('rejected-ttl-expired');
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringMatching(/within 10m \(timeouts\.maxHold\).*POST \/v1\/jobs/) as string },
    });
  });

  test.each([
    {
      name: 'a rejection',
      result: { kind: 'rejected', error: new PilotlightError('queue_shed', 'full', { retryAfterMs: 3_000 }) },
      status: 429,
      after: '3',
    },
    { name: 'a hand-back', result: { kind: 'handed_back', reason: 'Redis is away' }, status: 503, after: '7' },
    {
      name: 'an upstream failure',
      result: failed(new PilotlightError('attempts_exhausted', 'tried 3'), false),
      status: 502,
      after: null,
    },
  ] as const)('like $name has its own status', async ({ result, status, after }) => {
    rig.runner.script = () => Promise.resolve(result);
    const response = await rig.post(CHAT, { model: 'tiny', messages });
    expect([response.status, response.headers.get('retry-after')]).toEqual([status, after]);
  });

  test('that nobody foresaw is logged in full and told without details', async () => {
    rig.runner.script = () => Promise.reject(new Error('secret detail'));
    const response = await rig.post(CHAT, { model: 'tiny', messages }, { 'x-request-id': 'mine-2' });
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(text).not.toContain('secret detail');
    expect(JSON.parse(rig.logLines[0]!)).toMatchObject({
      level: 'error',
      event: 'request.crashed',
      requestId: 'mine-2',
      err: { message: 'secret detail' },
    });
  });

  test('of the dispatcher to end its answer does not leave the client waiting', async () => {
    rig.runner.script = (_request, sink) => {
      beginStream(sink);
      sink.write(chunkEvent('a'));
      return Promise.resolve(completed());
    };
    const response = await rig.post(CHAT, { model: 'tiny', messages, stream: true });
    expect(await response.text()).toContain('"code":"internal_error"');
  });

  test('of a plain answer after its head is a broken connection, never a short answer', async () => {
    rig.runner.script = (_request, sink) => {
      sink.begin({ status: 200, headers: { 'content-type': 'application/json' } });
      sink.write(Buffer.from('{"half":'));
      return Promise.resolve(failed(new PilotlightError('upstream_aborted', 'gone'), true));
    };
    await expect(rig.post(CHAT, { model: 'tiny', messages }).then((response) => response.text())).rejects.toThrow();
  });
});

describe('a slow reader', () => {
  test('holds back its model server and loses nothing', async () => {
    const total = 200;
    const chunk = Buffer.concat([Buffer.from('data: '), Buffer.alloc(65_536, 'x'), Buffer.from('\n\n')]);
    let paused = 0;
    rig.runner.script = async (_request, sink, { signal }) => {
      beginStream(sink);
      for (let sent = 0; sent < total; sent += 1) {
        if (sink.write(chunk)) continue;
        paused += 1;
        await sink.drained(signal);
      }
      sink.end();
      return completed();
    };
    const response = await rig.post(CHAT, { model: 'tiny', messages, stream: true });
    await until(() => paused > 0, 'the writer to be held back');
    expect((await response.arrayBuffer()).byteLength).toBe(total * chunk.length);
  });

  test('that reads nothing at all is cut off', async () => {
    await rig.close();
    rig = await startRig({ settings: { clientStallTimeoutMs: 50 } });
    let cut: unknown = null;
    rig.runner.script = async (_request, sink, { signal }) => {
      beginStream(sink);
      try {
        for (;;) if (!sink.write(Buffer.alloc(1_048_576, 'x'))) await sink.drained(signal);
      } catch (thrown) {
        cut = thrown;
        throw thrown;
      }
    };
    const response = await rig.post(CHAT, { model: 'tiny', messages, stream: true });
    await until(() => cut !== null, 'the reader to be cut off');
    await expect(response.text()).rejects.toThrow();
  });
});

describe('models', () => {
  test('of sleeping pools are listed, those of slashed names found', async () => {
    const list = (await (await rig.get('/v1/models')).json()) as { data: unknown[] };
    expect(list.data).toHaveLength(3);
    expect(list.data[0]).toEqual({ id: 'tiny', object: 'model', created: 1_700_000_000, owned_by: 'pilotlight' });
    expect((await rig.get('/v1/models/gpt-4o-mini')).status).toBe(200);
    const missing = await rig.get('/v1/models/org/name');
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { message: "The model 'org/name' does not exist." } });
  });
});

describe('readiness', () => {
  test('is false at start and in drain, with the reason; the process is healthy all the time', async () => {
    for (const readiness of [
      { kind: 'starting', reason: 'reading objects' },
      { kind: 'draining', reason: 'SIGTERM' },
    ] as const) {
      rig.readiness = readiness;
      const response = await rig.get('/readyz');
      expect(response.status).toBe(503);
      expect(await response.json()).toEqual({ status: readiness.kind, reason: readiness.reason });
      expect((await rig.get('/healthz')).status).toBe(200);
    }
  });

  test('in drain new calls are refused and their connections closed', async () => {
    rig.readiness = { kind: 'draining', reason: 'SIGTERM' };
    const response = await rig.post(CHAT, { model: 'tiny', messages });
    expect(response.status).toBe(503);
    expect(response.headers.get('connection')).toBe('close');
    expect(await response.json()).toMatchObject({ error: { code: 'draining' } });
  });
});

test('a HEAD of a listed path is answered without a body', async () => {
  const status = await new Promise((resolve) => {
    get(`${rig.url}/healthz`, { method: 'HEAD' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
  expect(status).toBe(200);
});

test('requests are counted by path and class', async () => {
  await (await rig.post(CHAT, { model: 'tiny', messages })).text();
  await (await rig.post(CHAT, {})).text();
  await (await rig.get('/nowhere')).text();
  await until(async () => (await rig.metric('pilotlight_ingress_requests_total')) === 3, 'three requests');
  const text = await rig.registry.metrics();
  expect(text).toContain('pilotlight_ingress_requests_total{path="/v1/chat/completions",status_class="2xx"} 1');
  expect(text).toContain('pilotlight_ingress_requests_total{path="/v1/chat/completions",status_class="4xx"} 1');
  expect(text).toContain('pilotlight_ingress_requests_total{path="other",status_class="4xx"} 1');
});
