import { expect, onTestFinished, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { batchFiles, batchRows, problemsOf, sdk, startBatch } from '../support/batch-rows.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';
import { startReceiver } from '../support/webhook-receiver.ts';

const WITHIN_MS = 90_000;
/** Of the second pool. */
const OTHER = 'other-model';

/** A second pool beside the first, for one more model. */
function otherPool(): string {
  const [, ...documents] = poolYaml({ sim: ['--speed=8'], maxReplicas: 1 }).split('---\n');
  return documents
    .join('---\n')
    .replaceAll('name: chat', 'name: other')
    .replaceAll('app: chat', 'app: other')
    .replaceAll('name: interactive', 'name: other-interactive')
    .replaceAll('name: nightly', 'name: other-nightly')
    .replace(', aliases: [sim]', '')
    .replaceAll(MODEL, OTHER);
}

test('one file for two pools: rows go where their model leads, by the objective each names, and come back in one file', async () => {
  const serve = await prepareServe(`${poolYaml({ sim: ['--speed=8'], maxReplicas: 1 })}---\n${otherPool()}`);
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = [
    ...batchRows(60),
    ...batchRows(60).map(({ customId, body }) => ({ customId: `other-${customId}`, body: { ...body, model: OTHER } })),
  ].toSorted((a, b) => (a.customId.slice(-3) < b.customId.slice(-3) ? -1 : 1));
  const { id } = await startBatch(client, rows);
  const hasEnded = async () => (await client.batches.retrieve(id)).status === 'completed';
  await until(hasEnded, 'the batch is completed', WITHIN_MS);
  const batch = await client.batches.retrieve(id);
  expect(batch.request_counts).toEqual({ total: 120, completed: 120, failed: 0 });
  expect(problemsOf(rows, await batchFiles(client, batch))).toEqual([]);
  const { pools } = await serve.status();
  const done = pools.map(({ objectives }) => objectives.reduce((sum, { outcomes }) => sum + outcomes.completed, 0));
  expect(done).toEqual([60, 60]);
});

test('the end of a batch and of a background response is told once to a webhook that the SDK can verify, also after a kill', async () => {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.close());
  // The first delivery of each notice fails, so that it has to be tried again, and survives a restart meanwhile.
  const refused = new Set<string>();
  receiver.answer = (response, place) => {
    const id = String(receiver.received[place]?.headers['webhook-id']);
    response.writeHead(refused.has(id) ? 204 : 500).end();
    refused.add(id);
  };
  const settings = { webhooks: { allowedHosts: [`127.0.0.1:${receiver.port}`] } };
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'], maxReplicas: 1, settings }));
  await serve.start();
  const client = sdk(serve.apiUrl);
  const { signing_secret: secret } = await client.post<{ signing_secret: string }>('/webhook_endpoints', {
    body: { name: 'ends', url: receiver.url, event_types: ['batch.completed', 'response.completed'] },
  });
  const { id: batchId } = await startBatch(client, batchRows(20));
  const response = await client.responses.create({ model: MODEL, input: 'Hello.', background: true });
  await until(() => Promise.resolve(refused.size === 2), 'both were told, and refused', WITHIN_MS);
  await serve.kill();
  await serve.start();
  await until(() => Promise.resolve(receiver.received.length >= 4), 'both were told again', WITHIN_MS);

  const events = await Promise.all(
    receiver.received.map(({ headers, body }) =>
      client.webhooks.unwrap(body, headers as Record<string, string>, secret, WITHIN_MS),
    ),
  );
  const told = new Map(events.map((event) => [event.type, (event.data as { id: string }).id]));
  expect(told).toEqual(
    new Map([
      ['batch.completed', batchId],
      ['response.completed', response.id],
    ]),
  );
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
});
