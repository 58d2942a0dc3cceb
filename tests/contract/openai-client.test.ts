import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../src/core/errors.ts';
import { API_KEY, type Rig, startRig, until } from '../integration/ingress/rig.ts';
import { answerPlain, beginStream, chunkEvent, completed, failed } from '../unit/ingress/support/fake-runner.ts';

/** What the official client of application developers sees, unmodified but for its base URL. */

const messages = [{ role: 'user' as const, content: 'hi' }];

let rig: Rig;
let client: OpenAI;
beforeEach(async () => {
  rig = await startRig();
  client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
});
afterEach(() => rig.close());

async function streamed(): Promise<string[]> {
  const stream = await client.chat.completions.create({ model: 'tiny', messages, stream: true });
  const words: string[] = [];
  for await (const chunk of stream) words.push(chunk.choices[0]?.delta.content ?? '');
  return words;
}

async function thrownBy(action: () => Promise<unknown>): Promise<APIError> {
  const thrown = await action().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof APIError)) throw new Error(`expected an APIError, got ${String(thrown)}`);
  return thrown;
}

describe('the official openai client', () => {
  test('chats', async () => {
    const answer = await client.chat.completions.create({ model: 'gpt-4o-mini', messages });
    expect(answer.choices[0]?.message.content).toBe('Hello there');
    expect(answer._request_id).toMatch(/^req_/);
  });

  test('completes', async () => {
    expect(await client.completions.create({ model: 'tiny', prompt: 'Once' })).toMatchObject({
      object: 'chat.completion',
    });
    expect(rig.runner.requests[0]!.call.path).toBe('/v1/completions');
  });

  test('embeds', async () => {
    const answer = await client.embeddings.create({ model: 'tiny', input: ['a'], encoding_format: 'float' });
    expect(answer.data[0]?.embedding).toEqual([0.25, -0.5]);
  });

  test('streams', async () => {
    expect(await streamed()).toEqual(['Hello', ' there']);
  });

  test('streams through a pool that wakes, and does not notice its comments', async () => {
    rig.runner.script = async (request, sink) => {
      sink.waiting({ position: 2, phase: 'waking', etaMs: 42_000 });
      await until(() => true, 'a turn of the event loop');
      sink.waiting({ position: 0, phase: 'ModelLoading', etaMs: 9_000 });
      await until(() => true, 'a turn of the event loop');
      return answerPlain(request, sink);
    };
    expect(await streamed()).toEqual(['Hello', ' there']);
  });

  test('lists models and finds one', async () => {
    const names: string[] = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names).toEqual(['tiny', 'gpt-4o-mini', 'tiny-sql']);
    expect(await client.models.retrieve('tiny')).toMatchObject({ id: 'tiny', object: 'model' });
  });

  test('sends extra fields through to the model server', async () => {
    await client.chat.completions.create({ model: 'tiny', messages, guided_regex: '[a-z]+' } as never);
    expect(JSON.parse(Buffer.from(rig.runner.requests[0]!.call.body).toString())).toMatchObject({
      guided_regex: '[a-z]+',
    });
  });

  test('submits a job and fetches its result by its plain verbs', async () => {
    const job = await client.post<{ id: string; result_url: string }>('/jobs', {
      body: { body: { model: 'tiny', messages } },
    });
    rig.jobs.finish(
      job.id,
      { kind: 'completed' },
      { httpStatus: 200, contentType: 'application/json', body: Buffer.from('{"ok":1}') },
    );
    expect(await client.get(`/jobs/${job.id}/result`)).toMatchObject({ ok: 1 });
  });
});

describe('the official openai client raises', () => {
  test.each([
    {
      name: 'BadRequestError for a wrong call',
      call: { model: 'tiny', messages: [] },
      type: BadRequestError,
      code: 'invalid_value',
      param: 'messages',
    },
    {
      name: 'NotFoundError for an unknown model',
      call: { model: 'nope', messages },
      type: NotFoundError,
      code: 'model_not_found',
      param: 'model',
    },
  ])('$name', async ({ call, type, code, param }) => {
    const error = await thrownBy(() => client.chat.completions.create(call));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ code, param, type: 'invalid_request_error' });
    expect(error.requestID).toMatch(/^req_/);
  });

  test('AuthenticationError for a wrong key', async () => {
    const stranger = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'sk-nobody', maxRetries: 0 });
    expect(await thrownBy(() => stranger.models.list())).toBeInstanceOf(AuthenticationError);
  });

  test('RateLimitError for a full queue, with the time to come back', async () => {
    rig.runner.script = () =>
      Promise.resolve({ kind: 'rejected', error: new PilotlightError('queue_full', 'full', { retryAfterMs: 4_200 }) });
    const error = await thrownBy(() => client.chat.completions.create({ model: 'tiny', messages }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error.headers?.get('retry-after')).toBe('5');
  });

  test('APIError inside a stream that already waits', async () => {
    rig.runner.script = (_request, sink) => {
      sink.waiting({ position: 0, phase: 'waking', etaMs: 30_000 });
      return Promise.resolve(failed(new PilotlightError('no_capacity', 'the model server does not start'), false));
    };
    const error = await thrownBy(streamed);
    expect(error).toMatchObject({
      code: 'no_capacity',
      type: 'overloaded_error',
      message: 'the model server does not start',
    });
  });

  test('APIError inside a stream whose model server dies within an event', async () => {
    rig.runner.script = (_request, sink) => {
      beginStream(sink);
      sink.write(chunkEvent('Hello'));
      sink.write(Buffer.from('data: {"cho'));
      return Promise.resolve(failed(new PilotlightError('upstream_aborted', 'the model server died'), true));
    };
    expect(await thrownBy(streamed)).toMatchObject({ code: 'upstream_aborted' });
  });
});

describe('the official openai client sends again', () => {
  const patient = () => new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: API_KEY, maxRetries: 2 });

  test('what was refused for a moment, after the time it was told', async () => {
    rig.runner.script = (request, sink) => {
      if (rig.runner.requests.length > 1) return Promise.resolve(answerPlain(request, sink));
      return Promise.resolve({
        kind: 'rejected',
        error: new PilotlightError('queue_full', 'full', { retryAfterMs: 20 }),
      });
    };
    await patient().chat.completions.create({ model: 'tiny', messages });
    expect(rig.runner.requests).toHaveLength(2);
  });

  test('nothing that would fail again', async () => {
    rig.runner.script = () =>
      Promise.resolve(failed(new PilotlightError('upstream_response_too_large', 'too large'), false));
    await thrownBy(() => patient().chat.completions.create({ model: 'tiny', messages }));
    expect(rig.runner.requests).toHaveLength(1);
  });
});

test('a client that stops reading a stream ends the call', async () => {
  let aborted = false;
  rig.runner.script = async (_request, sink, { signal }) => {
    beginStream(sink);
    signal.addEventListener('abort', () => (aborted = true));
    while (!signal.aborted) {
      if (!sink.write(chunkEvent('more'))) await sink.drained(signal);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return completed();
  };
  const stream = await client.chat.completions.create({ model: 'tiny', messages, stream: true });
  for await (const _chunk of stream) break;
  await until(() => aborted, 'the call to be aborted');
});
