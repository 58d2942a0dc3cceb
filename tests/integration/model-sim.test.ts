import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { ModelSim, type PhaseLine } from '../../src/model-sim/model-sim.ts';
import { type ModelSimOptions, modelSimOptions } from '../../src/model-sim/options.ts';
import { fillerText } from '../../src/model-sim/policy/filler-text.ts';
import { parseInferenceRequest } from '../../src/model-sim/policy/parse-request.ts';
import { planCall } from '../../src/model-sim/policy/plan-call.ts';
import { systemClock } from '../../src/platform/clock.ts';

const NO_WORK = { prefillTokensPerSecond: 0, decodeBaseMs: 0, decodePerSequenceMs: 0 };
const MESSAGES = [{ role: 'user' as const, content: 'My printer is broken, what can I do?' }];
const FOREVER = { model: 'sim', messages: MESSAGES, max_tokens: 20_000, ignore_eos: true };

const running: ModelSim[] = [];
afterEach(async () => {
  for (const sim of running.splice(0)) {
    sim.halt();
    await sim.done;
  }
});

async function start(
  changes: Partial<ModelSimOptions> = {},
): Promise<{ sim: ModelSim; url: string; lines: PhaseLine[] }> {
  const lines: PhaseLine[] = [];
  const options = modelSimOptions({ port: 0, ...changes });
  const sim = new ModelSim(options, {
    clock: systemClock,
    random: seededRandom(1),
    announce: (line) => lines.push(line),
  });
  running.push(sim);
  await sim.boot();
  return { sim, url: sim.url ?? '', lines };
}

function post(url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: text };
  return fetch(url, signal ? { ...init, signal } : init);
}

function chat(url: string, changes: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Response> {
  return post(`${url}/v1/chat/completions`, { ...FOREVER, ...changes }, signal);
}

interface ChatBody {
  choices: { message: { content: string }; finish_reason: string }[];
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
  };
  error?: { message: string; type: string; param: string | null; code: number };
}

async function json<T = ChatBody>(response: Response | Promise<Response>): Promise<T> {
  return (await (await response).json()) as T;
}

/** What a caller who knows the rules expects to be answered. */
function expectedText(body: Record<string, unknown>, tokens: number): string {
  const served = { baseModels: ['sim'], maxModelTokens: 32_768, embeddingDimensions: 64, hasAdapter: () => false };
  const request = parseInferenceRequest('chat', body, served);
  if (!request.ok) throw new Error(request.error.message);
  return fillerText(planCall(request.value, modelSimOptions()).seeds[0]!, 0, tokens);
}

interface StreamEvent {
  choices?: { index: number; delta: { role?: string; content: string }; finish_reason: string | null }[];
  usage?: ChatBody['usage'];
  error?: unknown;
}

async function events(response: Response): Promise<{ events: StreamEvent[]; done: boolean }> {
  const data = (await response.text()).split('\n\n').filter((event) => event !== '');
  expect(data.every((event) => event.startsWith('data: '))).toBe(true);
  const done = data.at(-1) === 'data: [DONE]';
  return { done, events: (done ? data.slice(0, -1) : data).map((event) => JSON.parse(event.slice(6)) as StreamEvent) };
}

function textOf(stream: StreamEvent[]): string {
  return stream.map((event) => event.choices?.[0]?.delta.content ?? '').join('');
}

/** Reads on where something else began to. */
async function textFrom(reader: ReadableStreamDefaultReader<Uint8Array>, begun = ''): Promise<string> {
  const decoder = new TextDecoder();
  let text = begun;
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += decoder.decode(next.value);
  return text;
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > untilMs) throw new Error('it did not become true within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Opens a stream and waits for its first token. */
async function openStream(url: string, changes: Record<string, unknown> = {}) {
  const response = await chat(url, { stream: true, ...changes });
  expect(response.status).toBe(200);
  const reader = readerOf(response);
  const first = new TextDecoder().decode((await reader.read()).value);
  return async () => events(new Response(await textFrom(reader, first)));
}

test('it goes through its phases, refusing connections until it is ready, as vLLM does', async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const lines: PhaseLine[] = [];
  const sim = new ModelSim(modelSimOptions({ port, bootStartMs: 2_000, bootLoadMs: 2_000, speed: 10 }), {
    clock: systemClock,
    random: seededRandom(1),
    announce: (line) => lines.push(line),
  });
  running.push(sim);
  const boot = sim.boot();
  await eventually(() => sim.phase === 'loading');
  await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
  await boot;
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  expect(lines.map(({ phase, url }) => [phase, url === null])).toEqual([
    ['starting', true],
    ['loading', true],
    ['ready', false],
  ]);
});

test('told to, it listens while loading and answers 503 to everything', async () => {
  const sim = new ModelSim(modelSimOptions({ port: 0, bootLoadMs: 60_000, loadingAnswers: '503' }), {
    clock: systemClock,
    random: seededRandom(1),
    announce: () => undefined,
  });
  running.push(sim);
  void sim.boot();
  await eventually(() => sim.phase === 'loading');
  const url = sim.url ?? '';
  const statuses = [fetch(`${url}/health`), fetch(`${url}/v1/models`), fetch(`${url}/metrics`), chat(url)];
  expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([503, 503, 503, 503]);
});

test('a chat is answered with the text that its request determines, whole and streamed alike', async () => {
  const { url } = await start(NO_WORK);
  const whole = await chat(url, { max_tokens: 25 });
  expect(whole.headers.get('x-pilotlight-model-sim')).toBe('simulated');
  const body = await json(whole);
  expect(body).toMatchObject({ object: 'chat.completion', system_fingerprint: 'pilotlight-model-sim' });
  expect(body.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: expectedText(FOREVER, 25) } });
  expect(body.usage).toMatchObject({ prompt_tokens: 15, completion_tokens: 25, total_tokens: 40 });

  const { events: stream, done } = await events(
    await chat(url, { max_tokens: 25, stream: true, stream_options: { include_usage: true } }),
  );
  expect(done).toBe(true);
  expect(textOf(stream)).toBe(expectedText(FOREVER, 25));
  expect(stream).toHaveLength(27); // the role, 25 tokens, the usage
  expect(stream[0]?.choices?.[0]?.delta.role).toBe('assistant');
  expect(stream.at(-2)?.choices?.[0]?.finish_reason).toBe('length');
  expect(stream.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 25 } });
});

test('the official client works: chat, stream, completion, embedding, models', async () => {
  const { url } = await start(NO_WORK);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
  const answer = await client.chat.completions.create({ model: 'sim', messages: MESSAGES, max_completion_tokens: 8 });
  const stream = await client.chat.completions.create({
    model: 'sim',
    messages: MESSAGES,
    max_completion_tokens: 8,
    stream: true,
  });
  let streamed = '';
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';
  expect(streamed).toBe(answer.choices[0]?.message.content);
  const completion = await client.completions.create({ model: 'sim', prompt: ['one', 'two'], n: 2, max_tokens: 3 });
  expect(completion.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  const embedding = await client.embeddings.create({ model: 'sim', input: ['one', 'two'], dimensions: 12 });
  expect(embedding.data.map((entry) => [entry.embedding.length, Math.hypot(...entry.embedding).toFixed(3)])).toEqual([
    [12, '1.000'],
    [12, '1.000'],
  ]);
  const models = await client.models.list();
  expect(models.data.map(({ id, owned_by }) => [id, owned_by])).toEqual([['sim', 'pilotlight-model-sim']]);
});

test.each([
  { name: 'broken JSON', path: '/v1/chat/completions', body: '{"model":', status: 400, type: 'BadRequestError' },
  { name: 'a list', path: '/v1/chat/completions', body: '[]', status: 400, type: 'BadRequestError' },
  {
    name: 'an unknown model',
    path: '/v1/chat/completions',
    body: '{"model":"x","messages":[]}',
    status: 404,
    type: 'NotFoundError',
  },
  { name: 'an unknown route', path: '/v2/chat', body: '{}', status: 404, type: 'NotFoundError' },
  {
    name: 'a body over the limit',
    path: '/v1/completions',
    body: JSON.stringify({ model: 'sim', prompt: 'x'.repeat(3_000) }),
    status: 413,
    type: 'RequestEntityTooLargeError',
  },
])('$name gets $status in the shape of vLLM', async ({ path, body, status, type }) => {
  const { url } = await start({ maxBodyBytes: 2_000 });
  const response = await post(url + path, body);
  expect(response.status).toBe(status);
  expect(await json(response)).toMatchObject({ error: { type, code: status, message: expect.any(String) as string } });
});

test('bodies that are larger together than the limit get 503', async () => {
  const { url } = await start({ ...NO_WORK, maxReadingBytes: 1_000 });
  expect((await post(`${url}/v1/completions`, { model: 'sim', prompt: 'x'.repeat(2_000) })).status).toBe(503);
  expect((await post(`${url}/v1/completions`, { model: 'sim', prompt: 'x' })).status).toBe(200);
});

test('steps take the time that the model of time says, and --speed shortens all of it', async () => {
  const { url } = await start({ prefillTokensPerSecond: 100, decodeBaseMs: 200, decodePerSequenceMs: 0, speed: 10 });
  const startedAtMs = performance.now();
  await (await chat(url, { max_tokens: 6 })).text();
  // (150 ms of prompt + 6 × 200 ms) / 10 = 135 ms
  expect(performance.now() - startedAtMs).toBeGreaterThan(125);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const seconds = (name: string) => Number(new RegExp(`^vllm:${name}_sum\\{.*\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
  expect(seconds('time_to_first_token_seconds')).toBeCloseTo(0.035, 2);
  expect(seconds('inter_token_latency_seconds')).toBeCloseTo(5 * 0.02, 2);
});

test('adapters are loaded, used, listed under their parent and unloaded', async () => {
  const { url } = await start({ ...NO_WORK, maxAdapters: 2 });
  const load = (name: string, path = '/adapters/a') =>
    post(`${url}/v1/load_lora_adapter`, { lora_name: name, lora_path: path });
  expect((await load('a')).status).toBe(200);
  expect((await load('a')).status).toBe(400);
  expect((await load('b', '/adapters/missing')).status).toBe(404);
  expect((await chat(url, { model: 'a', max_tokens: 2 })).status).toBe(200);
  const models = await json<{ data: { id: string; parent: string | null; root: string }[] }>(fetch(`${url}/v1/models`));
  expect(models.data.map(({ id, parent, root }) => [id, parent, root])).toEqual([
    ['sim', null, 'sim'],
    ['a', 'sim', '/adapters/a'],
  ]);
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    'vllm:lora_requests_info{max_lora="2",running_lora_adapters=""',
  );
  const unload = () => post(`${url}/v1/unload_lora_adapter`, { lora_name: 'a' });
  expect([(await unload()).status, (await unload()).status]).toEqual([200, 404]);
  expect((await chat(url, { model: 'a' })).status).toBe(404);
});

test('one request more than may queue gets 503 and is counted', async () => {
  const { url, sim } = await start({ maxQueuedRequests: 2, maxSequences: 1 });
  const abort = new AbortController();
  const open = [chat(url, {}, abort.signal), chat(url, {}, abort.signal)];
  await eventually(() => sim.calls.size === 2);
  expect((await chat(url)).status).toBe(503);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('vllm:num_requests_running{engine="0",model_name="sim"} 1.0\n');
  expect(metrics).toContain('vllm:num_requests_waiting{engine="0",model_name="sim"} 1.0\n');
  expect(metrics).toContain('vllm:admission_rejections_total{model_name="sim",reason="max_num_queued_reqs"} 1.0\n');
  abort.abort();
  await Promise.allSettled(open);
});

test.each([false, true])(
  'a client that leaves (stream %s) stops the generation and frees its blocks',
  async (stream) => {
    const { url, sim } = await start();
    const abort = new AbortController();
    const call = chat(url, { stream }, abort.signal);
    await eventually(() => sim.engine.counters.generatedTokens > 2);
    expect(sim.engine.kv.usedBlocks).toBeGreaterThan(0);
    abort.abort();
    await call.then((response) => response.text()).catch(() => undefined);
    await eventually(() => sim.calls.size === 0);
    expect([sim.engine.runningSequences, sim.engine.kv.usedBlocks]).toEqual([0, 0]);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('finished_reason="abort",model_name="sim"} 0.0\n');
  },
);

test('a stream that is faster than its reader is merged into fewer events, and complete', async () => {
  const { url, sim } = await start({ ...NO_WORK });
  const response = await chat(url, { stream: true });
  const reader = readerOf(response);
  await eventually(() => sim.engine.counters.generatedTokens === 20_000);
  const { events: stream, done } = await events(new Response(await textFrom(reader)));
  expect(done).toBe(true);
  expect(textOf(stream)).toBe(expectedText(FOREVER, 20_000));
  expect(stream.length).toBeLessThan(20_000);
});

test('equal prompt beginnings come from the cache, and the usage says so', async () => {
  const { url } = await start(NO_WORK);
  const long = [{ role: 'system', content: 'Answer politely. '.repeat(100) }];
  await (await chat(url, { messages: [...long, ...MESSAGES], max_tokens: 1 })).text();
  const second = await json(
    chat(url, { messages: [...long, { role: 'user', content: 'Another question' }], max_tokens: 1 }),
  );
  expect(second.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(400);
});

const FAULTS = '/sim/faults';

test('faults of single calls: refused, cut, failed inside the stream, aborted', async () => {
  const { url } = await start({ decodeBaseMs: 1 });
  const calls = [
    { kind: 'status', status: 502 },
    { kind: 'disconnect', afterTokens: 3 },
    { kind: 'error', afterTokens: 4 },
    { kind: 'error', afterTokens: 2 },
    { kind: 'abort', afterTokens: 5 },
    { kind: 'abort', afterTokens: 6 },
  ];
  expect((await post(url + FAULTS, { calls })).status).toBe(200);
  expect((await chat(url)).status).toBe(502);
  await expect(chat(url, { stream: true }).then((response) => response.text())).rejects.toThrow();

  const failed = await events(await chat(url, { stream: true }));
  expect(failed.done).toBe(true);
  expect(failed.events.at(-1)?.error).toMatchObject({ code: 500 });
  expect(textOf(failed.events)).toBe(expectedText(FOREVER, 4));
  expect((await chat(url)).status).toBe(500);

  const aborted = await events(await chat(url, { stream: true }));
  expect([aborted.done, aborted.events.at(-1)?.choices?.[0]?.finish_reason]).toEqual([true, 'abort']);
  expect(textOf(aborted.events)).toBe(expectedText(FOREVER, 5));
  const whole = await json(chat(url));
  expect(whole.choices[0]).toMatchObject({ finish_reason: 'abort', message: { content: expectedText(FOREVER, 6) } });
  expect((await json(chat(url, { max_tokens: 2 }))).choices[0]?.finish_reason).toBe('length');
});

test('a hanging server accepts and never answers; the admin routes still do', async () => {
  const { url, sim } = await start({ ...NO_WORK });
  await post(url + FAULTS, { hang: 'all' });
  const abort = new AbortController();
  const calls = [chat(url, {}, abort.signal), fetch(`${url}/health`, { signal: abort.signal })];
  await eventually(() => sim.calls.hanging === 2);
  expect(await json<object>(fetch(`${url}/sim/state`))).toMatchObject({
    simulator: true,
    phase: 'ready',
    hangingCalls: 2,
    faults: { hang: 'all' },
  });
  abort.abort();
  await Promise.allSettled(calls);
  await eventually(() => sim.calls.hanging === 0);
  expect((await fetch(url + FAULTS, { method: 'DELETE' })).status).toBe(200);
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

test('a wrong fault is refused by name', async () => {
  const { url } = await start();
  expect((await json(post(url + FAULTS, { sloow: 1 }))).error?.param).toBe('sloow');
  expect((await json(post(url + FAULTS, { crash: 'now' }))).error?.param).toBe('crash');
});

test('a dying engine fails its open streams inside their 200, loses its health, and ends', async () => {
  const { url, sim, lines } = await start({ speed: 4 });
  const rest = await openStream(url);
  await post(url + FAULTS, { killEngine: true });
  const stream = await rest();
  expect([stream.done, stream.events.at(-1)?.error !== undefined]).toEqual([true, true]);
  expect((await fetch(`${url}/health`)).status).toBe(503);
  expect((await fetch(`${url}/v1/models`)).status).toBe(200);
  expect((await chat(url)).status).toBe(500);
  expect(await sim.done).toBe(1);
  expect(lines.map(({ phase }) => phase)).toEqual(['starting', 'loading', 'ready', 'dead', 'crashed']);
});

test('a crash ends at once with its code', async () => {
  const { url, sim } = await start();
  const rest = await openStream(url);
  await post(url + FAULTS, { crash: 9 });
  expect(await sim.done).toBe(9);
  await expect(rest()).rejects.toThrow();
});

test('with time to shut down, open calls finish, new ones get 500, health stays, then it ends', async () => {
  const { url, sim } = await start({ shutdownTimeoutMs: 20_000 });
  const rest = await openStream(url, { max_tokens: 40 });
  sim.shutdown();
  expect((await chat(url)).status).toBe(500);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  const stream = await rest();
  expect([stream.done, stream.events.at(-1)?.choices?.[0]?.finish_reason]).toEqual([true, 'length']);
  expect(textOf(stream.events)).toBe(expectedText(FOREVER, 40));
  expect(await sim.done).toBe(0);
});

test.each([0, 60])(
  'without time, or after %s ms of it, open calls are answered 200 with "abort" and cut text',
  async (shutdownTimeoutMs) => {
    const { url, sim } = await start({ shutdownTimeoutMs });
    const whole = chat(url);
    const rest = await openStream(url);
    await eventually(() => sim.engine.counters.generatedTokens > 10);
    sim.shutdown();
    const stream = await rest();
    const body = await json(whole);
    expect([stream.done, stream.events.at(-1)?.choices?.[0]?.finish_reason]).toEqual([true, 'abort']);
    expect(body.choices[0]?.finish_reason).toBe('abort');
    expect(body.choices[0]?.message.content).toBe(expectedText(FOREVER, body.usage.completion_tokens));
    expect(await sim.done).toBe(0);
  },
);

test('told to hang on shutdown, it keeps every connection open until it is killed', async () => {
  const { url, sim } = await start({ shutdownTimeoutMs: 10 });
  const rest = await openStream(url);
  await post(url + FAULTS, { hangOnShutdown: true });
  sim.shutdown();
  const { generatedTokens } = sim.engine.counters;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([sim.phase, sim.engine.counters.generatedTokens, sim.calls.size]).toEqual(['draining', generatedTokens, 1]);
  sim.halt();
  await expect(rest()).rejects.toThrow();
});

test('a port in use is named with its remedy', async () => {
  const { url } = await start();
  const second = await start({ port: Number(new URL(url).port) });
  expect(await second.sim.done).toBe(1);
  expect(second.lines.at(-1)).toMatchObject({ phase: 'crashed', error: expect.stringContaining('--port') as string });
});

test('only the first boots crash when told so, whichever process they are of', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'model-sim-'));
  const options = { crashAtBoot: 3, crashFirstBoots: 2, crashMarks: join(folder, 'boot') };
  const codes: (number | string)[] = [];
  for (let boot = 0; boot < 3; boot += 1) {
    const { sim } = await start(options);
    codes.push(sim.phase === 'ready' ? 'ready' : await sim.done);
  }
  expect(codes).toEqual([3, 3, 'ready']);
  await rm(folder, { recursive: true });
});
