import OpenAI, { APIError } from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { JobEvent } from '../../../src/core/job-events.ts';
import type { JobResult } from '../../../src/core/jobs.ts';
import { until } from '../../support/until.ts';
import { beginStream, failed } from '../../unit/ingress/support/fake-runner.ts';
import { API_KEY, GATEWAY_KEY, type Rig, startRig } from './rig.ts';

/** Background responses as the official client sees them; jobs and their events end and come when a test says so. */

let rig: Rig;
let client: OpenAI;
beforeEach(async () => {
  rig = await startRig();
  client = clientOf(API_KEY);
});
afterEach(() => rig.close());

function clientOf(apiKey: string): OpenAI {
  return new OpenAI({ baseURL: `${rig.url}/v1`, apiKey, maxRetries: 0 });
}

const ASK = { model: 'gpt-4o-mini', input: 'My printer is broken.', background: true } as const;
const ANSWER = {
  id: 'resp_engine',
  object: 'response',
  status: 'completed',
  model: 'tiny',
  output: [
    {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'Turn it on.', annotations: [], logprobs: [] }],
    },
  ],
  usage: { input_tokens: 9, output_tokens: 3, total_tokens: 12 },
};

function result(body: unknown, httpStatus = 200): JobResult {
  return { httpStatus, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) };
}

function complete(id: string, answer: object = ANSWER): void {
  rig.jobs.finish(id, { kind: 'completed' }, result(answer));
}

function delta(text: string): JobEvent {
  const type = 'response.output_text.delta';
  return { type, data: JSON.stringify({ type, item_id: 'msg_1', output_index: 0, content_index: 0, delta: text }) };
}

describe('a background response', () => {
  test('is queued at once, and completed with the answer of the model server under its own id', async () => {
    const created = await client.responses.create({ ...ASK, metadata: { ticket: '17' }, instructions: 'Be brief.' });
    expect(created).toMatchObject({ status: 'queued', background: true, output: [], instructions: 'Be brief.' });
    expect(created.id).toMatch(/^resp_[0-9a-f]{32}$/);
    complete(created.id);
    const done = await client.responses.retrieve(created.id);
    expect(done).toMatchObject({
      id: created.id,
      status: 'completed',
      model: 'gpt-4o-mini',
      metadata: { ticket: '17' },
      created_at: created.created_at,
      usage: { total_tokens: 12 },
    });
    expect(done.output_text).toBe('Turn it on.');
    expect(done.completed_at).toBeGreaterThanOrEqual(created.created_at);
  });

  test('becomes a job that is announced, whose body has nothing of ours in it', async () => {
    const { id } = await client.responses.create({ ...ASK, pilotlight: { objective: 'nightly' } } as never);
    const [spec] = rig.jobs.specs;
    expect(spec).toMatchObject({
      id,
      tenant: 'acme',
      path: '/v1/responses',
      objective: 'nightly',
      announce: { kind: 'webhook' },
      servedModel: 'tiny',
    });
    expect(spec?.streamed).toBeUndefined();
    const body: unknown = JSON.parse(rig.jobs.bodies.get(id) ?? '');
    expect(body).toEqual({ stream: false, store: false, model: 'tiny', input: ASK.input });
  });

  test.each([
    { name: 'pilotlight.objective', fields: { pilotlight: { objective: 'nightly' } } },
    { name: 'metadata', fields: { metadata: { 'pilotlight-objective': 'nightly' } } },
  ])('takes its objective from $name', async ({ fields }) => {
    await client.responses.create({ ...ASK, ...fields });
    expect(rig.jobs.specs[0]?.objective).toBe('nightly');
  });

  test('has the deadline that was asked for', async () => {
    await client.responses.create({ ...ASK, pilotlight: { deadline: '2h' } } as never);
    const [spec] = rig.jobs.specs;
    expect((spec?.deadlineEpochMs ?? 0) - (spec?.acceptedAtEpochMs ?? 0)).toBe(7_200_000);
  });

  test.each([
    { name: 'that expired names the deadline', kind: 'expired' as const, message: /by its deadline \(\d{4}-/ },
    { name: 'that failed names our code', kind: 'failed' as const, message: /\(upstream_aborted\)$/ },
  ])('$name', async ({ kind, message }) => {
    const { id } = await client.responses.create({ ...ASK, pilotlight: { deadline: '2h' } } as never);
    rig.jobs.finish(id, { kind, httpStatus: 502, code: kind === 'failed' ? 'upstream_aborted' : 'deadline_exceeded' });
    const response = await client.responses.retrieve(id);
    expect(response).toMatchObject({ status: 'failed', completed_at: null, error: { code: 'server_error' } });
    expect(response.error?.message).toMatch(message);
  });

  test('that the model server refused has failed, with its words', async () => {
    const { id } = await client.responses.create(ASK);
    const refusal = result({ error: { message: 'too long' } }, 400);
    rig.jobs.finish(id, { kind: 'completed', httpStatus: 400 }, refusal);
    expect(await client.responses.retrieve(id)).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_prompt', message: 'too long' },
      output: [],
    });
  });

  test('that ran into its limit is incomplete', async () => {
    const { id } = await client.responses.create(ASK);
    const cut = { ...ANSWER, status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
    complete(id, cut);
    expect(await client.responses.retrieve(id)).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
    });
  });

  test('is cancelled once; cancelling it again, or after its end, changes nothing', async () => {
    const { id } = await client.responses.create(ASK);
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: 'cancelled' });
    const other = await client.responses.create(ASK);
    complete(other.id);
    expect(await client.responses.cancel(other.id)).toMatchObject({ status: 'completed' });
  });

  test('is unknown once it is deleted', async () => {
    const { id } = await client.responses.create(ASK);
    await client.responses.delete(id);
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404, code: 'response_not_found' });
  });

  test('lists what was asked, page by page', async () => {
    const input = ['a', 'b', 'c'].map((content) => ({ role: 'user' as const, content }));
    const { id } = await client.responses.create({ ...ASK, input });
    const texts: unknown[] = [];
    for await (const item of client.responses.inputItems.list(id, { limit: 2, order: 'asc' })) {
      texts.push('content' in item ? item.content : null);
    }
    expect(texts).toEqual(['a', 'b', 'c'].map((text) => [{ type: 'input_text', text }]));
  });

  test.each(['retrieve', 'cancel', 'delete'] as const)('of another tenant is unknown to %s', async (verb) => {
    const { id } = await client.responses.create(ASK);
    const stranger = clientOf(GATEWAY_KEY);
    await expect(stranger.responses[verb](id)).rejects.toMatchObject({ status: 404, code: 'response_not_found' });
    expect(await client.responses.retrieve(id)).toMatchObject({ status: 'queued' });
  });

  test('is not a job that was sent to /v1/jobs', async () => {
    const job = await client.post<{ id: string }>('/jobs', {
      body: { path: '/v1/responses', body: { model: 'tiny', input: 'hi' } },
    });
    await expect(client.responses.retrieve(job.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe('a wrong call is refused by name:', () => {
  test.each([
    { fields: { input: undefined }, code: 'missing_required_parameter', param: 'input' },
    { fields: { input: [] }, code: 'invalid_value', param: 'input' },
    { fields: { input: [{ role: 'user' }] }, code: 'missing_required_parameter', param: 'input[0].content' },
    {
      fields: { input: [{ role: 'user', content: [{ type: 'input_text' }] }] },
      code: 'missing_required_parameter',
      param: 'input[0].content[0].text',
    },
    { fields: { previous_response_id: 'resp_1' }, code: 'invalid_value', param: 'previous_response_id' },
    { fields: { conversation: 'conv_1' }, code: 'invalid_value', param: 'conversation' },
    { fields: { background: 'yes' }, code: 'invalid_type', param: 'background' },
    { fields: { max_output_tokens: 0 }, code: 'invalid_value', param: 'max_output_tokens' },
    { fields: { metadata: { a: 1 } }, code: 'invalid_type', param: 'metadata.a' },
    { fields: { tools: [{}] }, code: 'missing_required_parameter', param: 'tools[0].type' },
    { fields: { pilotlight: { speed: 1 } }, code: 'invalid_value', param: 'pilotlight.speed' },
    { fields: { pilotlight: { deadline: 'soon' } }, code: 'invalid_value', param: 'pilotlight.deadline' },
    { fields: { pilotlight: { objective: 'nope' } }, code: 'unknown_objective', param: 'pilotlight.objective' },
    {
      fields: { metadata: { 'pilotlight-objective': 'nope' } },
      code: 'unknown_objective',
      param: 'metadata.pilotlight-objective',
    },
    { fields: { pilotlight: { ttl: '30' } }, code: 'invalid_value', param: 'pilotlight.ttl' },
  ])('$param $code', async ({ fields, code, param }) => {
    const call = client.responses.create({ ...ASK, ...fields } as never);
    await expect(call).rejects.toMatchObject({ status: 400, code, param });
    expect(rig.jobs.specs).toEqual([]);
  });
});

describe('the stream of a background response', () => {
  async function read(events: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>, into: Seen): Promise<Seen> {
    for await (const event of events) {
      into.numbers.push(event.sequence_number);
      into.types.push(event.type);
      if (event.type === 'response.output_text.delta') into.text += event.delta;
      if ('response' in event) into.status = event.response.status;
    }
    return into;
  }
  interface Seen {
    numbers: number[];
    types: string[];
    text: string;
    status: string | undefined;
  }
  const nothing = (): Seen => ({ numbers: [], types: [], text: '', status: undefined });

  async function created(seen: Seen): Promise<{ id: string; whole: Promise<Seen> }> {
    const whole = read(await client.responses.create({ ...ASK, stream: true }), seen);
    await until(() => seen.types.includes('response.queued'), 'the response is queued');
    const [spec] = rig.jobs.specs;
    expect(spec?.streamed).toBe(true);
    return { id: spec?.id ?? '', whole };
  }

  test('begins before it runs, and ends with the response once that is stored', async () => {
    const seen = nothing();
    const { id, whole } = await created(seen);
    await rig.jobEvents.add(id, delta('Turn'));
    await until(() => seen.text === 'Turn', 'the first text');
    await rig.jobEvents.add(id, delta(' it on.'));
    complete(id);
    expect(await whole).toEqual({
      types: [
        'response.created',
        'response.queued',
        'response.output_text.delta',
        'response.output_text.delta',
        'response.completed',
      ],
      numbers: [0, 1, 2, 3, 4],
      text: 'Turn it on.',
      status: 'completed',
    });
  });

  test('goes on for another reader from the number that it names', async () => {
    const seen = nothing();
    const { id, whole } = await created(seen);
    await rig.jobEvents.add(id, delta('Turn'), delta(' it'));
    await until(() => seen.text === 'Turn it', 'both texts');
    const resumed = nothing();
    const rest = read(await client.responses.retrieve(id, { stream: true, starting_after: 2 }), resumed);
    await until(() => resumed.text === ' it', 'what the reader missed');
    await rig.jobEvents.add(id, delta(' on.'));
    complete(id);
    expect((await rest).numbers).toEqual([3, 4, 5]);
    expect((await rest).text).toBe(' it on.');
    expect((await whole).text).toBe('Turn it on.');
    const late = await read(await client.responses.retrieve(id, { stream: true, starting_after: 5 }), nothing());
    expect(late.numbers).toEqual([]);
  });

  test('ends as failed for one that was cancelled before it ran', async () => {
    const seen = nothing();
    const { id, whole } = await created(seen);
    await client.responses.cancel(id);
    rig.jobs.endWaits();
    expect(await whole).toMatchObject({
      types: ['response.created', 'response.queued', 'response.failed'],
      status: 'cancelled',
    });
  });

  test('breaks off with an error when the run breaks off; from the start it is whole again', async () => {
    const seen = nothing();
    const { id, whole } = await created(seen);
    await rig.jobEvents.add(id, delta('Tur'));
    await until(() => seen.text === 'Tur', 'the first text');
    const broken = expect(whole).rejects.toMatchObject({ code: 'stream_position_gone' });
    await rig.jobEvents.begin(id);
    await broken;
    await rig.jobEvents.add(id, delta('Turn it on.'));
    const resumed = client.responses.retrieve(id, { stream: true, starting_after: 2 });
    await expect(resumed).rejects.toMatchObject({ status: 410, code: 'stream_position_gone' });
    complete(id);
    const again = await read(await client.responses.retrieve(id, { stream: true }), nothing());
    expect(again.text).toBe('Turn it on.');
    expect(again.numbers).toEqual([0, 1, 4, 5]);
  });

  test('is gone with its events, while the response is still there', async () => {
    const { id, whole } = await created(nothing());
    await rig.jobEvents.add(id, delta('Turn it on.'));
    complete(id);
    await whole;
    rig.jobEvents.forget(id);
    for (const query of [{}, { starting_after: 2 }]) {
      const late = client.responses.retrieve(id, { stream: true, ...query });
      await expect(late).rejects.toMatchObject({ status: 410, code: 'stream_position_gone' });
    }
    expect(await client.responses.retrieve(id)).toMatchObject({ status: 'completed' });
  });

  test('is read to its end by the stream helper of the client', async () => {
    const { id, whole } = await created(nothing());
    complete(id);
    await rig.jobEvents.add(id);
    await whole;
    const final = await client.responses.stream({ response_id: id }).finalResponse();
    expect(final.output_text).toBe('Turn it on.');
  });

  test('leaves nothing behind when its reader leaves, and the response goes on', async () => {
    const stream = await client.responses.create({ ...ASK, stream: true });
    await until(() => rig.jobEvents.readers === 1, 'it is followed');
    stream.controller.abort();
    await until(() => rig.jobEvents.readers === 0, 'nobody follows');
    expect(await client.responses.retrieve(rig.jobs.specs[0]?.id ?? '')).toMatchObject({ status: 'queued' });
  });

  test.each([
    { name: 'of one that was created without it', query: 'stream=true', param: 'stream' },
    { name: 'with a number but without stream', query: 'starting_after=3', param: 'starting_after' },
    { name: 'from no number', query: 'stream=true&starting_after=x', param: 'starting_after' },
  ])('$name is refused', async ({ query, param }) => {
    const { id } = await client.responses.create(ASK);
    const answer = await rig.get(`/v1/responses/${id}?${query}`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param } });
  });
});

test('a call without background is held, and the model server is told to keep nothing', async () => {
  await client.responses
    .create({ model: 'tiny', input: 'hi', store: true, metadata: { a: 'b' } })
    .catch((error: unknown) => {
      expect(error).not.toBeInstanceOf(APIError);
    });
  const [request] = rig.runner.requests;
  expect(request?.call).toMatchObject({ path: '/v1/responses', stream: false });
  const body: unknown = JSON.parse(Buffer.from(request?.call.body ?? []).toString());
  expect(body).toEqual({ store: false, model: 'tiny', input: 'hi', metadata: { a: 'b' } });
});

test('a held stream that breaks raises an error of the Responses API in the client', async () => {
  rig.runner.script = (_request, sink) => {
    beginStream(sink);
    sink.write(Buffer.from('event: response.created\ndata: {"type":"response.created","sequence_number":0}\n\n'));
    return Promise.resolve(failed(new PilotlightError('upstream_aborted', 'the model server left'), true));
  };
  const answer = await rig.post('/v1/responses', { model: 'tiny', input: 'hi', stream: true });
  expect((await answer.text()).split('\n\n')[1]).toBe(
    'event: error\ndata: {"type":"error","code":"upstream_aborted","message":"the model server left","param":null}',
  );
  const read = async () => {
    for await (const event of await client.responses.create({ model: 'tiny', input: 'hi', stream: true })) {
      expect(event.type).toBe('response.created');
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'upstream_aborted' });
});

describe('readers of streams', () => {
  async function restarted(settings: Parameters<typeof startRig>[0]): Promise<void> {
    await rig.close();
    rig = await startRig(settings);
    client = clientOf(API_KEY);
  }

  test('take places among the held calls, and give them back', async () => {
    await restarted({ settings: { maxHeldCalls: 1 } });
    const stream = await client.responses.create({ ...ASK, stream: true });
    await until(() => rig.jobEvents.readers === 1, 'it is followed');
    const [spec] = rig.jobs.specs;
    const second = client.responses.retrieve(spec?.id ?? '', { stream: true });
    await expect(second).rejects.toMatchObject({ status: 429, code: 'held_calls_full' });
    stream.controller.abort();
    await until(() => rig.jobEvents.readers === 0, 'nobody follows');
    complete(spec?.id ?? '');
    await rig.jobEvents.begin(spec?.id ?? '');
    const final = await client.responses.stream({ response_id: spec?.id ?? '' }).finalResponse();
    expect(final.status).toBe('completed');
  });

  test('are told to ask again after the longest time of a stream', async () => {
    await restarted({ settings: { maxStreamHoldMs: 0 } });
    const stream = await client.responses.create({ ...ASK, stream: true });
    const read = async () => {
      for await (const _event of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'max_hold_exceeded' });
  });
});
