import type OpenAI from 'openai';
import { expect, test } from 'vitest';
import { batchFiles, batchRows, problemsOf, sdk, startBatch } from '../support/batch-rows.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const END_DEADLINE_MS = 120_000;

async function untilEnded(client: OpenAI, id: string, deadlineMs = END_DEADLINE_MS): Promise<OpenAI.Batch> {
  let batch = await client.batches.retrieve(id);
  const hasEnded = async () => {
    batch = await client.batches.retrieve(id);
    return ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
  };
  await until(hasEnded, `batch ${id} has ended`, deadlineMs);
  return batch;
}

test('one file in, one file out: the unmodified SDK runs a batch on a sleeping pool and gets every row once, in order', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'] }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(400);
  const created = await startBatch(client, rows, { metadata: { job: 'tickets' } });
  expect(created).toMatchObject({ object: 'batch', status: 'validating', errors: null, metadata: { job: 'tickets' } });

  const batch = await untilEnded(client, created.id);
  expect(batch).toMatchObject({
    status: 'completed',
    error_file_id: null,
    request_counts: { total: 400, completed: 400, failed: 0 },
  });
  expect(problemsOf(rows, await batchFiles(client, batch))).toEqual([]);
  expect(batch.usage?.output_tokens).toBe(400 * 24);
  await serve.untilPool('the pool sleeps again', ({ replicas }) => replicas.length === 0, 60_000);
});

test('kill -9 in mid-run and a restart lose no row and double none', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'] }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(600);
  const { id } = await startBatch(client, rows);
  const someDone = async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 50;
  await until(someDone, 'some rows are done', END_DEADLINE_MS);
  await serve.kill();
  await serve.start();
  const batch = await untilEnded(client, id);
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 600, completed: 600, failed: 0 } });
  expect(problemsOf(rows, await batchFiles(client, batch))).toEqual([]);
});

test('a Redis that loses everything in mid-run costs no row: the batch goes on from the store', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'] }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(600);
  const { id } = await startBatch(client, rows);
  const someDone = async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 50;
  await until(someDone, 'some rows are done', END_DEADLINE_MS);
  await serve.redis.lose();
  const batch = await untilEnded(client, id);
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 600, completed: 600, failed: 0 } });
  expect(problemsOf(rows, await batchFiles(client, batch))).toEqual([]);
});

test('told to, it compares the store with Redis: what Redis forgot is there again', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'] }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const { id } = await startBatch(client, batchRows(20));
  await untilEnded(client, id);
  await serve.redis.flush();
  const report = await serve.admin('POST', '/reconcile');
  // It may have found out by itself already, and have nothing left to repair.
  expect(report).toMatchObject({ object: 'reconcile', batches: { batches: 1, failed: 0 } });
  expect((await client.batches.list()).data.map((batch) => batch.id)).toEqual([id]);
  expect(await serve.admin('POST', '/reconcile')).toMatchObject({ batches: { repaired: 0 } });
});

test('cancelled at half: what is done is in the output file, the rest in the error file, and the counts add up', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=2'], slots: 4, maxReplicas: 1 }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(400);
  const { id } = await startBatch(client, rows);
  const half = async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) >= 100;
  await until(half, 'a part is done', END_DEADLINE_MS);
  expect((await client.batches.cancel(id)).status).toMatch(/^cancell/);
  const batch = await untilEnded(client, id);
  expect(batch.status).toBe('cancelled');
  const files = await batchFiles(client, batch);
  expect(problemsOf(rows, files)).toEqual([]);
  expect(new Set(files.errors.map(({ error }) => error?.code))).toEqual(new Set(['batch_cancelled']));
  const { total, completed, failed } = batch.request_counts ?? { total: 0, completed: 0, failed: 0 };
  expect({ total, sum: completed + failed, output: files.output.length }).toEqual({
    total: 400,
    sum: 400,
    output: completed,
  });
});

test('its window over at half: what is done stays, the rest is told to have expired, and the counts add up', async () => {
  const settings = { batches: { windows: ['24h', '8s'] } };
  const serve = await prepareServe(poolYaml({ sim: ['--speed=1'], slots: 4, maxReplicas: 1, settings }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(400);
  const { id } = await startBatch(client, rows, { completion_window: '8s' });
  const batch = await untilEnded(client, id);
  expect(batch.status).toBe('expired');
  const files = await batchFiles(client, batch);
  expect(problemsOf(rows, files)).toEqual([]);
  expect(files.output.length).toBeGreaterThan(0);
  expect(new Set(files.errors.map(({ error }) => error?.code))).toEqual(new Set(['batch_expired']));
  const { total, completed, failed } = batch.request_counts ?? { total: 0, completed: 0, failed: 0 };
  expect([total, completed + failed, files.errors.length]).toEqual([400, 400, failed]);
});

test('a model that takes its time to come up costs no row an attempt', async () => {
  const sim = ['--speed=8', '--boot-load=20s'];
  const serve = await prepareServe(poolYaml({ sim }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(50);
  const { id } = await startBatch(client, rows, { pilotlight: { include_row_meta: true } });
  const isHeld = async () => {
    const { pilotlight } = (await client.batches.retrieve(id)) as { pilotlight?: { holding_reason: string | null } };
    return pilotlight?.holding_reason === 'scaling_from_zero';
  };
  await until(isHeld, 'the batch says what it waits for', END_DEADLINE_MS);
  const batch = await untilEnded(client, id);
  expect(batch.request_counts).toEqual({ total: 50, completed: 50, failed: 0 });
  const { output } = await batchFiles(client, batch);
  const attempts = output.map((line) => (line as { pilotlight?: { attempts?: number } }).pilotlight?.attempts);
  expect(new Set(attempts)).toEqual(new Set([1]));
});

test('paused, no row starts; resumed, it ends; what failed is run again as a batch of its own', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'], slots: 4, maxReplicas: 1 }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const wrong = { customId: 'too-long', body: { ...batchRows(1)[0]!.body, max_tokens: 10_000_000 } };
  const rows = [...batchRows(200), wrong];
  const { id } = await startBatch(client, rows);
  const change = (verb: string, body: unknown = {}) => client.post<OpenAI.Batch>(`/batches/${id}/${verb}`, { body });
  const done = async () => (await client.batches.retrieve(id)).request_counts?.completed ?? 0;
  await until(async () => (await done()) >= 20, 'some rows are done', END_DEADLINE_MS);

  await change('pause', { reason: 'the pool is needed' });
  await serve.untilPool('nothing runs', ({ slots }) => slots.used === 0, 60_000);
  const atPause = await done();
  expect(await client.batches.retrieve(id)).toMatchObject({
    status: 'in_progress',
    pilotlight: {
      phase: 'paused',
      holding_reason: 'paused',
      holding_message: expect.stringContaining('the pool is needed') as string,
    },
  });
  expect(await done()).toBe(atPause);
  await change('resume');

  const batch = await untilEnded(client, id);
  expect(batch.request_counts).toEqual({ total: 201, completed: 200, failed: 1 });
  const files = await batchFiles(client, batch);
  expect(problemsOf(rows, files)).toEqual([]);
  expect(files.errors[0]).toMatchObject({ custom_id: 'too-long', error: null, response: { status_code: 400 } });

  const retried = await change('retry_failed');
  expect(retried).toMatchObject({ pilotlight: { retry_of: id } });
  const again = await untilEnded(client, retried.id);
  expect(again.request_counts).toEqual({ total: 1, completed: 0, failed: 1 });
});
