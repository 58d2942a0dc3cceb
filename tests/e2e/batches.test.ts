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
