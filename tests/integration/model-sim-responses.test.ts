import OpenAI, { APIError } from 'openai';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { ModelSim } from '../../src/model-sim/model-sim.ts';
import { modelSimOptions } from '../../src/model-sim/options.ts';
import { systemClock } from '../../src/platform/clock.ts';

/** The simulator's /v1/responses, read by the official client. */

const sims: ModelSim[] = [];
afterEach(async () => {
  for (const sim of sims.splice(0)) {
    sim.halt();
    await sim.done;
  }
});

async function start(): Promise<{ client: OpenAI; url: string }> {
  const options = modelSimOptions({ port: 0, prefillTokensPerSecond: 0, decodeBaseMs: 1, decodePerSequenceMs: 0 });
  const sim = new ModelSim(options, { clock: systemClock, random: seededRandom(1), announce: () => undefined });
  sims.push(sim);
  await sim.boot();
  const url = sim.url ?? '';
  return { client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 }), url };
}

const ASK = { model: 'sim', input: 'My printer is broken.', max_output_tokens: 400 };

async function fault(url: string, faults: unknown): Promise<void> {
  const answer = await fetch(`${url}/sim/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(faults),
  });
  expect(answer.status).toBe(200);
}

test('a whole response has its text, repeats the request and tells its usage in detail', async () => {
  const { client } = await start();
  const response = await client.responses.create({ ...ASK, instructions: 'Be brief.', metadata: { ticket: '17' } });
  expect(response).toMatchObject({
    object: 'response',
    status: 'completed',
    instructions: 'Be brief.',
    metadata: { ticket: '17' },
    error: null,
  });
  expect(response.id).toMatch(/^resp_/);
  expect(response.output_text).toMatch(/^Simulated text from pilotlight model-sim/);
  const { usage } = response;
  expect(usage?.total_tokens).toBe((usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0));
  expect(usage?.output_tokens_details).toEqual({ reasoning_tokens: 0 });
});

test('a streamed response is the same text in the events and the order of the OpenAI API', async () => {
  const { client } = await start();
  const whole = await client.responses.create(ASK);
  const types: string[] = [];
  const numbers: number[] = [];
  let text = '';
  for await (const event of await client.responses.create({ ...ASK, stream: true })) {
    if (types.at(-1) !== event.type) types.push(event.type);
    numbers.push(event.sequence_number);
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  expect(text).toBe(whole.output_text);
  expect(numbers).toEqual(numbers.map((_, index) => index));
  expect(types).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
});

test('the stream helper of the client puts a response together', async () => {
  const { client } = await start();
  const final = await client.responses.stream(ASK).finalResponse();
  expect(final.status).toBe('completed');
  expect(final.output_text).toMatch(/^Simulated text/);
});

test('a response that runs into its limit is incomplete and says why', async () => {
  const { client } = await start();
  const response = await client.responses.create({ ...ASK, max_output_tokens: 6, ignore_eos: true } as never);
  expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
});

test.each([
  { name: 'an empty list of items', body: { input: [] }, param: 'input' },
  { name: 'an item that is no object', body: { input: ['x'] }, param: 'input' },
  { name: 'a limit that is no number', body: { max_output_tokens: 'many' }, param: 'max_output_tokens' },
])('$name is refused', async ({ body, param }) => {
  const { client } = await start();
  await expect(client.responses.create({ ...ASK, ...body } as never)).rejects.toMatchObject({ status: 400, param });
});

test('an engine that fails in mid-stream says so in an event that the client raises', async () => {
  const { client, url } = await start();
  await fault(url, { calls: [{ kind: 'error', afterTokens: 3, count: 1 }] });
  const read = async () => {
    for await (const _event of await client.responses.create({ ...ASK, stream: true }));
  };
  await expect(read()).rejects.toThrow(APIError);
});
