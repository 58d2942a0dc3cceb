import { expect, test } from 'vitest';
import { batchFiles, batchRows, problemsOf, sdk, startBatch } from '../support/batch-rows.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const SCHEDULED = `---
apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: nightly}
spec: {targetRefs: [{name: nightly}], activation: Scheduled}
`;
const DUE_IN_MS = 20_000;

interface Records {
  readonly decisions: readonly { readonly decision: { readonly rule: string; readonly desired: object } }[];
}

test('a batch of a Scheduled objective leaves the pool asleep until its deadline needs it, and is done by then', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'] }) + SCHEDULED);
  await serve.start();
  const client = sdk(serve.apiUrl);
  const rows = batchRows(40);
  const dueEpochMs = Date.now() + DUE_IN_MS;
  const deadline = new Date(dueEpochMs).toISOString();
  const { id } = await startBatch(client, rows, { pilotlight: { objective: 'nightly', deadline } });
  const isRunnable = async () => (await client.batches.retrieve(id)).status === 'in_progress';
  await until(isRunnable, 'its rows may run', 10_000);
  expect((await serve.pool()).replicas).toEqual([]);

  let batch = await client.batches.retrieve(id);
  await until(
    async () => {
      batch = await client.batches.retrieve(id);
      return batch.status === 'completed';
    },
    'the batch is done',
    60_000,
  );
  expect(problemsOf(rows, await batchFiles(client, batch))).toEqual([]);
  const { decisions } = (await serve.admin('GET', `/pools/${(await serve.pool()).pool}/decisions`)) as Records;
  const rules = decisions
    .filter(({ decision }) => Object.keys(decision.desired).length > 0)
    .map((one) => one.decision.rule);
  expect(rules).toContain('latest-safe-start');
  expect(rules).not.toContain('immediate');
  expect(rules).not.toContain('economics');
});
