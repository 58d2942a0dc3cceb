import { expect, onTestFinished, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { batchRows, rowsFile } from '../support/batch-rows.ts';
import {
  batchWhen,
  type Caller,
  callerOf,
  endedBatch,
  isRunning,
  submitted,
  tenantSections,
} from '../support/batch-tenants.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const CROWD = { name: 'crowd', key: 'key-of-crowd', trusted: true };
const ALONE = { name: 'alone', key: 'key-of-alone', trusted: true };
const SLOTS = 4;

const chat = (content: string, outputTokens = 24) => ({
  model: MODEL,
  max_tokens: outputTokens,
  ignore_eos: true,
  messages: [{ role: 'user', content }],
});

function policyOf(objective: string, spec: string): string {
  return `---
apiVersion: pilotlight.dev/v1alpha1
kind: ObjectivePolicy
metadata: {name: ${objective}}
spec: {targetRefs: [{name: ${objective}}], ${spec}}
`;
}

interface World {
  readonly serve: ServeProcess;
  readonly crowd: Caller;
  readonly alone: Caller;
}

/** One replica with four slots, and two tenants. */
async function started(policies = '', crowd: Record<string, unknown> = {}): Promise<World> {
  const settings = tenantSections([{ ...CROWD, ...crowd }, ALONE]);
  const { auth: _, ...rest } = settings;
  const yaml = poolYaml({ sim: ['--speed=2'], slots: SLOTS, maxReplicas: 1, keepWarm: '10m', settings: rest });
  const serve = await prepareServe(
    yaml.replace(/ {2}auth: .*\n/, '  auth: {anonymous: {enabled: false}}\n') + policies,
  );
  await serve.start();
  const callAs = ({ key }: { readonly key: string }): Caller => callerOf(() => serve.apiUrl, key);
  return { serve, crowd: callAs(CROWD), alone: callAs(ALONE) };
}

async function job(call: Caller, content: string, objective = 'nightly'): Promise<string> {
  const answer = await call('POST', '/jobs', { json: { objective, body: chat(content) } });
  expect(answer.status).toBe(202);
  return (answer.body as { id: string }).id;
}

async function jobEnded(call: Caller, id: string): Promise<void> {
  const isDone = async () => ((await call('GET', `/jobs/${id}`)).body as { status: string }).status === 'completed';
  await until(isDone, `job ${id} is completed`, 60_000);
}

test('one job of a tenant waits for its share, not for the rows that another tenant brought before', async () => {
  const { crowd, alone } = await started();
  const rows = batchRows(1_500);
  const batch = await submitted(crowd, rowsFile(rows), { pilotlight: { objective: 'nightly' } });
  const before = await batchWhen(crowd, batch.id, 'the rows run', isRunning(20));
  await jobEnded(alone, await job(alone, 'the only one'));
  const after = (await crowd('GET', `/batches/${batch.id}`)).body as typeof batch;
  const between = (after.request_counts?.completed ?? 0) - (before.request_counts?.completed ?? 0);
  // Two windows and what ran, and the time that it takes to look: far from the 1,480 that were before it.
  expect(between).toBeLessThan(400);
  expect(after.status).toBe('in_progress');
  await crowd('POST', `/batches/${batch.id}/cancel`);
  expect((await endedBatch(crowd, batch.id)).status).toBe('cancelled');
});

test('a guaranteed share is served while higher calls want every slot', async () => {
  const { crowd, alone } = await started(policyOf('nightly', 'guaranteedSharePercent: 25'));
  const statuses: number[] = [];
  let isOver = false;
  onTestFinished(() => {
    isOver = true;
  });
  const talk = async (index: number): Promise<void> => {
    for (let turn = 0; !isOver; turn += 1) {
      const json = chat(`call ${index}.${turn}`);
      const headers = { 'x-llm-d-inference-objective': 'interactive' };
      const answer = await crowd('POST', '/chat/completions', { json, headers }).catch(() => null);
      statuses.push(answer?.status ?? 0);
      if (answer?.status !== 200) return;
    }
  };
  // Four times the slots, so that the higher band is never empty.
  const talking = Array.from({ length: 4 * SLOTS }, (_, index) => talk(index));
  await until(() => statuses.length >= 4 * SLOTS, 'the pool is full of calls', 30_000);
  const jobs = await Promise.all(Array.from({ length: 12 }, (_, index) => job(alone, `night ${index}`)));
  const answeredBefore = statuses.length;
  await Promise.all(jobs.map((id) => jobEnded(alone, id)));
  isOver = true;
  await Promise.all(talking);
  // A quarter of the tokens: 12 jobs beside some 36 calls, in whose time nothing starved.
  expect(statuses.length - answeredBefore).toBeGreaterThan(12);
  expect(new Set(statuses)).toEqual(new Set([200]));
});

test('a tenant beyond its concurrency waits, and the slots that it may not have go to others', async () => {
  const { serve, crowd, alone } = await started('', { quotas: { maxConcurrency: 1 } });
  const call = (caller: Caller, content: string) => caller('POST', '/chat/completions', { json: chat(content, 60) });
  // Slow start is over when all slots are open.
  const isWarm = async () => {
    await Promise.all(Array.from({ length: SLOTS }, (_, index) => call(alone, `warm ${index}`)));
    return (await serve.pool()).slots.open === SLOTS;
  };
  await until(isWarm, 'all slots are open', 60_000);
  const many = Array.from({ length: 6 }, (_, index) => call(crowd, `many ${index}`));
  const isFull = async () => {
    const { slots, objectives } = await serve.pool();
    return slots.used === 1 && objectives.reduce((sum, { waitingHeld }) => sum + waitingHeld, 0) === 5;
  };
  await until(isFull, 'one runs and the others wait', 30_000);
  const others = await Promise.all(Array.from({ length: 3 }, (_, index) => call(alone, `other ${index}`)));
  expect(others.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect((await Promise.all(many)).map(({ status }) => status)).toEqual(Array(6).fill(200));
});
