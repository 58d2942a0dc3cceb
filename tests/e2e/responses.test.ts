import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** The Responses API as a whole: the official client, a gateway, Redis, a sleeping pool of simulators. */

const ASK = { model: 'sim', input: 'My printer is broken.', max_output_tokens: 30, ignore_eos: true };
/** About two seconds of generation at 20 ms a token. */
const LONG = { ...ASK, max_output_tokens: 100 };
const SLOW_TOKENS = ['--decode-base-ms=20', '--decode-per-sequence-ms=0'];

type Events = AsyncIterable<OpenAI.Responses.ResponseStreamEvent>;

async function started(sim: readonly string[] = []): Promise<{ serve: ServeProcess; client: OpenAI }> {
  const serve = await prepareServe(poolYaml({ sim, keepWarm: '30s', maxReplicas: 1 }));
  await serve.start();
  return { serve, client: new OpenAI({ baseURL: `${serve.apiUrl}/v1`, apiKey: 'none', maxRetries: 0 }) };
}

async function ended(client: OpenAI, id: string): Promise<OpenAI.Responses.Response> {
  let response = await client.responses.retrieve(id);
  await until(
    async () => {
      response = await client.responses.retrieve(id);
      return response.status !== 'queued' && response.status !== 'in_progress';
    },
    `the end of ${id}`,
    60_000,
  );
  return response;
}

interface Seen {
  text: string;
  last: number;
  type: string;
}

async function read(events: Events, seen: Seen): Promise<Seen> {
  for await (const event of events) {
    expect(event.sequence_number).toBeGreaterThan(seen.last);
    seen.last = event.sequence_number;
    seen.type = event.type;
    if (event.type === 'response.output_text.delta') seen.text += event.delta;
  }
  return seen;
}

const nothing = (): Seen => ({ text: '', last: -1, type: '' });

test('a held response, a streamed one and a background one through a sleeping pool say the same', async () => {
  const { serve, client } = await started();
  const queued = await client.responses.create({ ...ASK, background: true });
  expect(queued.status).toBe('queued');
  const streamed = client.responses.stream(ASK).finalResponse();
  const held = await client.responses.create(ASK);
  const background = await ended(client, queued.id);
  expect(background).toMatchObject({ id: queued.id, status: 'incomplete', background: true });
  expect(held.output_text).toMatch(/^Simulated text/);
  expect([(await streamed).output_text, background.output_text]).toEqual([held.output_text, held.output_text]);
  expect(background.usage?.output_tokens).toBe(30);

  await serve.kill();
  await serve.start();
  expect((await ended(client, queued.id)).output_text).toBe(held.output_text);
  await client.responses.delete(queued.id);
  await expect(client.responses.retrieve(queued.id)).rejects.toMatchObject({ code: 'response_not_found' });
});

test('a background stream is read live, resumed by its number, and cancelled in flight', async () => {
  const { client } = await started(SLOW_TOKENS);
  const stream = await client.responses.create({ ...LONG, background: true, stream: true });
  const seen = nothing();
  let id = '';
  for await (const event of stream) {
    seen.last = event.sequence_number;
    if ('response' in event) id = event.response.id;
    if (event.type === 'response.output_text.delta') seen.text += event.delta;
    if (seen.text.length > 60) break;
  }
  expect(id).toMatch(/^resp_/);
  expect((await client.responses.retrieve(id)).status).toBe('in_progress');
  const rest = await read(await client.responses.retrieve(id, { stream: true, starting_after: seen.last }), seen);
  expect(rest.type).toBe('response.incomplete');
  const whole = await client.responses.retrieve(id);
  expect(rest.text).toBe(whole.output_text);
  const replayed = await client.responses.stream({ response_id: id }).finalResponse();
  expect(replayed.output_text).toBe(whole.output_text);

  const other = await client.responses.create({ ...LONG, max_output_tokens: 2_000, background: true, stream: true });
  const cut = nothing();
  let otherId = '';
  for await (const event of other) {
    if ('response' in event) otherId = event.response.id;
    if (event.type === 'response.output_text.delta' && cut.text === '') {
      cut.text = event.delta;
      expect((await client.responses.cancel(otherId)).status).toBe('cancelled');
    }
    cut.type = event.type;
  }
  expect(cut.type).toBe('response.failed');
  expect(await client.responses.cancel(otherId)).toMatchObject({ status: 'cancelled' });
});

test('a response whose gateway is killed in mid-stream is run again, and read whole from the start', async () => {
  const { serve, client } = await started(SLOW_TOKENS);
  const { data: stream } = await client.responses
    .create({ ...LONG, max_output_tokens: 200, background: true, stream: true })
    .withResponse();
  const before = nothing();
  let id = '';
  const broken = async () => {
    for await (const event of stream) {
      if ('response' in event) id = event.response.id;
      if (event.type === 'response.output_text.delta') before.text += event.delta;
      before.last = event.sequence_number;
      if (before.text.length > 60) await serve.kill();
    }
  };
  await expect(broken()).rejects.toThrow();
  await serve.start();

  const again = nothing();
  await until(
    async () => {
      try {
        await read(await client.responses.retrieve(id, { stream: true }), Object.assign(again, nothing()));
        return again.type === 'response.incomplete';
      } catch (error) {
        // What the dead process had shown is replayed until the new run begins, and breaks off then.
        expect(error).toMatchObject({ code: 'stream_position_gone' });
        return false;
      }
    },
    'a whole stream',
    60_000,
  );
  const whole = await client.responses.retrieve(id);
  expect(again.text).toBe(whole.output_text);
  expect(whole.output_text.startsWith(before.text)).toBe(true);
  const resumed = client.responses.retrieve(id, { stream: true, starting_after: before.last });
  await expect(resumed).rejects.toMatchObject({ status: 410, code: 'stream_position_gone' });
});
