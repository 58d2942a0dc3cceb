import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { batchFiles, batchRows, problemsOf, rowLine, rowsFile, sdk } from '../support/batch-rows.ts';
import {
  type Batch,
  batchOf,
  batchWhen,
  type Caller,
  callerOf,
  endedBatch,
  isRunning,
  sendFile,
  submitted,
} from '../support/batch-tenants.ts';
import { startFlakyProxy } from '../support/flaky-proxy.ts';
import { type PoolYaml, poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** What breaks while a batch is on its way, against the running program: nothing accepted is lost or doubled. */

interface World {
  readonly serve: ServeProcess;
  readonly call: Caller;
}

async function world(options: PoolYaml = {}): Promise<World> {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'], ...options }));
  await serve.start();
  return { serve, call: callerOf(() => serve.apiUrl, 'none') };
}

/** Every row once, each with the right answer. */
async function expectAll({ serve }: World, batch: Batch, rows: ReturnType<typeof batchRows>): Promise<void> {
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: rows.length, completed: rows.length, failed: 0 },
  });
  expect(problemsOf(rows, await batchFiles(sdk(serve.apiUrl), batch))).toEqual([]);
}

/** When the process is ended: once this holds. Validation is under way, rows run, the last ones run, files are assembled. */
const STAGES: readonly (readonly [string, (batch: Batch) => boolean])[] = [
  ['it was created', () => true],
  ['it runs', isRunning(20)],
  ['its last rows run', isRunning(380)],
  ['its files are assembled', ({ status }) => status !== 'in_progress'],
];

test.each(['SIGTERM', 'SIGKILL'])('%s at each stage of a batch: it goes on, and nothing is lost', async (signal) => {
  const here = await world();
  const rows = batchRows(400);
  const { id } = await submitted(here.call, rowsFile(rows));
  for (const [stage, holds] of STAGES) {
    await batchWhen(here.call, id, stage, holds);
    if (signal === 'SIGTERM') expect(await here.serve.stop()).toBe(0);
    else await here.serve.kill();
    await here.serve.start();
  }
  await expectAll(here, await endedBatch(here.call, id), rows);
});

test.each(['SIGTERM', 'SIGKILL'])(
  '%s in the middle of an upload leaves no file, and nothing of it after the sweep',
  async (signal) => {
    const here = await world({ drain: '2s' });
    const abort = new AbortController();
    let sent = 0;
    const slow = new ReadableStream<Uint8Array>({
      async pull(controller) {
        if (sent === 64) await new Promise(() => undefined);
        sent += 1;
        controller.enqueue(Buffer.alloc(65_536, 'x'));
      },
    });
    const type = 'multipart/form-data; boundary=b0undary';
    const head = '--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n';
    const body = ReadableStream.from(bytesOf(head, slow));
    const upload = fetch(`${here.serve.apiUrl}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
      duplex: 'half',
      signal: abort.signal,
    }).then(
      ({ status }) => status,
      () => 'cut',
    );
    await until(() => sent === 64, 'some of it is sent');
    if (signal === 'SIGTERM') expect(await here.serve.stop()).toBe(0);
    else await here.serve.kill();
    expect(await upload).not.toBe(200);
    abort.abort();
    await here.serve.start();
    expect((await here.call('GET', '/files')).body).toMatchObject({ data: [] });
    const file = await sendFile(here.call, rowsFile(batchRows(1)));
    expect(file.status).toBe(200);
  },
);

async function* bytesOf(head: string, rest: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  yield Buffer.from(head);
  yield* rest;
}

describe('Redis', () => {
  test('away while a batch is created: refused, and the SDK that tries again makes exactly one', async () => {
    const here = await world();
    const file = (await sendFile(here.call, rowsFile(batchRows(20)))).body as { id: string };
    await here.serve.redis.kill();
    const refused = await here.call('POST', '/batches', { json: batchOf(file.id) });
    expect(refused.status).toBe(503);
    const client = sdk(here.serve.apiUrl, 'none', { maxRetries: 8 });
    const creating = client.batches.create(
      { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' },
      { headers: { 'idempotency-key': 'night' } },
    );
    await here.serve.redis.restart();
    const { id } = await creating;
    await endedBatch(here.call, id);
    const { data } = (await here.call('GET', '/batches')).body as { data: readonly { id: string }[] };
    expect(data.map((batch) => batch.id)).toEqual([id]);
  });

  test('away while rows run, and while the files are assembled: everything goes on', async () => {
    const here = await world({ sim: ['--speed=20'] });
    const rows = batchRows(600);
    const { id } = await submitted(here.call, rowsFile(rows));
    await batchWhen(here.call, id, 'it runs', isRunning(50));
    await here.serve.redis.kill();
    await here.serve.redis.restart();
    await batchWhen(here.call, id, 'nearly all rows have ended', isRunning(590));
    await here.serve.redis.kill();
    await here.serve.redis.restart();
    await expectAll(here, await endedBatch(here.call, id, 90_000), rows);
  });
});

test('an answer that is lost on its way: the SDK asks again, and there is one batch', async () => {
  const here = await world();
  const proxy = await startFlakyProxy(here.serve.apiUrl);
  onTestFinished(() => proxy.close());
  const file = (await sendFile(here.call, rowsFile(batchRows(5)))).body as { id: string };
  let posts = 0;
  proxy.misbehave(({ method }) => (method === 'POST' && (posts += 1) <= 2 ? 'lost_answer' : 'pass'));
  const client = sdk(proxy.endpoint);
  const { id } = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  expect(posts).toBe(3);
  const { data } = await client.batches.list();
  expect(data.map((batch) => batch.id)).toEqual([id]);
});

test('an input file in use cannot be deleted; its content gone from the store, the batch says so and can be ended', async () => {
  const here = await world({ slots: 4, maxReplicas: 1, sim: ['--speed=4'] });
  // More than is read ahead.
  const rows = batchRows(1_600);
  const batch = await submitted(here.call, rowsFile(rows));
  await batchWhen(here.call, batch.id, 'it runs', isRunning(5));
  const refused = await here.call('DELETE', `/files/${batch.input_file_id}`);
  expect(refused).toMatchObject({ status: 409, noRetry: true, body: { error: { code: 'file_in_use' } } });

  const folder = join(here.serve.folder, 'data', 'local', 'files');
  const [content = ''] = (await readdir(folder)).filter((name) => name.endsWith('.data'));
  await unlink(join(folder, content));
  await here.call('POST', `/batches/${batch.id}/pause`, { json: {} });
  await here.serve.untilPool('nothing runs', ({ slots }) => slots.used === 0);
  await here.call('POST', `/batches/${batch.id}/resume`, { json: {} });
  const held = await batchWhen(
    here.call,
    batch.id,
    'it says what is missing',
    ({ pilotlight }) => pilotlight.holding_reason === 'failing',
  );
  expect(held.pilotlight.holding_message).toMatch(/input file.*gone.*cancel/);
  await here.call('POST', `/batches/${batch.id}/cancel`, { json: {} });
  const ended = await endedBatch(here.call, batch.id);
  expect(ended.status).toBe('cancelled');
  const { output, errors } = await batchFiles(sdk(here.serve.apiUrl), ended);
  expect([output.length, output.length + errors.length]).toEqual([ended.request_counts?.completed, 1_600]);
  expect(new Set(errors.map(({ custom_id: id, error }) => `${id} ${error?.code}`))).toEqual(
    new Set(['null batch_cancelled']),
  );
});

describe('model servers', () => {
  test('that refuse, break off, abort and crash: rows are tried again, and none is lost', async () => {
    const faults = JSON.stringify({
      calls: [
        { kind: 'abort', count: 3 },
        { kind: 'status', count: 5, status: 503 },
        { kind: 'disconnect', count: 3, afterTokens: 3 },
        { kind: 'status', count: 2, status: 429 },
        { kind: 'error', count: 2, afterTokens: 2 },
      ],
    });
    const here = await world({ sim: [`--faults=${faults}`, '--speed=8'] });
    const rows = batchRows(300);
    const { id } = await submitted(here.call, rowsFile(rows));
    await batchWhen(here.call, id, 'it runs', isRunning(100));
    const [victim = 0] = await here.serve.modelServerPids();
    process.kill(victim, 'SIGKILL');
    await expectAll(here, await endedBatch(here.call, id), rows);
  });

  test('that refuse every row alike: the batch pauses itself, says so, and goes on when it is resumed', async () => {
    const here = await world({ settings: { batches: { failingRows: 10 } }, slots: 4, maxReplicas: 1 });
    const wrong = batchRows(400, { max_tokens: 10_000_000 });
    const { id } = await submitted(here.call, rowsFile(wrong));
    const isHeld = ({ pilotlight }: Batch) => pilotlight.holding_reason === 'failing';
    const held = await batchWhen(here.call, id, 'it has paused itself', isHeld);
    expect(held.status).toBe('in_progress');
    expect(held.pilotlight.holding_message).toMatch(/10 rows .* status 400/);
    await here.serve.untilPool('nothing runs', ({ slots }) => slots.used === 0);
    await batchWhen(here.call, id, 'it says what failed', ({ request_counts: counts }) => (counts?.failed ?? 0) >= 10);
    expect((await here.call('POST', `/batches/${id}/resume`, { json: {} })).status).toBe(200);
    await batchWhen(here.call, id, 'more have failed', ({ request_counts: counts }) => (counts?.failed ?? 0) > 19);
    await here.call('POST', `/batches/${id}/cancel`, { json: {} });
    const ended = await endedBatch(here.call, id);
    expect(ended).toMatchObject({ output_file_id: null, request_counts: { total: 400, completed: 0, failed: 400 } });
    const { errors } = await batchFiles(sdk(here.serve.apiUrl), ended);
    expect(errors.filter(({ response }) => response?.status_code === 400).length).toBeLessThan(100);
  });
});

test('two hundred lists and reads at a time while a batch runs are all answered, and the batch ends', async () => {
  const here = await world();
  const rows = [
    ...batchRows(300),
    { customId: 'odd', body: { model: MODEL, max_tokens: 4, messages: [{ role: 'user', content: 'x' }] } },
  ];
  const { id } = await submitted(here.call, rows.map(rowLine).join('\n'));
  await batchWhen(here.call, id, 'it runs', isRunning(10));
  const rowsPath = `/batches/${id}/rows?limit=100`;
  const paths = ['/batches', `/batches/${id}`, '/files', rowsPath];
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, at) => {
      const path = paths[at % paths.length] ?? '';
      return { path, ...(await here.call('GET', path)) };
    }),
  );
  // Rows of a batch that has ended meanwhile are in its files.
  const isAnswered = ({ path, status, body }: (typeof answers)[number]) =>
    status === 200 || (path === rowsPath && JSON.stringify(body).includes('batch_already_finished'));
  expect(answers.filter((answer) => !isAnswered(answer))).toEqual([]);
  expect((await endedBatch(here.call, id)).request_counts).toEqual({ total: 301, completed: 301, failed: 0 });
});
