import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { JournalLine } from '../../src/model-sim/adapters/call-journal.ts';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

/** Longer than an owner may be silent before it is taken for dead. */
const STOPPED_MS = 4_000;
/** Decoded far longer than the test takes. */
const LONG_TOKENS = 6_000;

/** A pool of one model server with two slots whose calls are written down. */
async function start(): Promise<{ serve: ServeProcess; journal: () => Promise<readonly JournalLine[]> }> {
  const serve = await prepareServe(poolYaml({ sim: ['--journal={journal}'], slots: 2, maxReplicas: 1 }));
  const path = join(serve.folder, 'journal.jsonl');
  await serve.writeObjects((await readFile(join(serve.folder, 'objects.yaml'), 'utf8')).replace('{journal}', path));
  await serve.start();
  const journal = async (): Promise<readonly JournalLine[]> => {
    const text = await readFile(path, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as JournalLine]));
  };
  return { serve, journal };
}

/** As a machine that swaps, or is moved: everything it has started goes on. */
async function standStill(serve: ServeProcess): Promise<void> {
  process.kill(serve.pid, 'SIGSTOP');
  onTestFinished(() => {
    try {
      process.kill(serve.pid, 'SIGCONT');
    } catch {
      // It has ended.
    }
  });
  const sinceMs = performance.now();
  await until(() => Promise.resolve(performance.now() - sinceMs > STOPPED_MS), 'it is taken for dead', 2 * STOPPED_MS);
}

function stream(serve: ServeProcess): Promise<Response> {
  return fetch(`${serve.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      ...{ model: MODEL, stream: true, max_tokens: LONG_TOKENS, ignore_eos: true },
      messages: [{ role: 'user', content: 'Tell me a long story' }],
    }),
  });
}

test('a process that stood still stops its upstream calls first: the stream ends with its reason, the job runs again', async () => {
  const { serve, journal } = await start();
  const answer = await stream(serve);
  expect(answer.status).toBe(200);
  const text = answer.text();
  await until(async () => (await journal()).some(({ event }) => event === 'first'), 'the stream speaks');
  const jobs = await submitJobs(serve.apiUrl, { count: 3, objective: 'nightly' });

  await standStill(serve);
  const [first] = (await journal()).filter(({ event }) => event === 'first');
  const endOf = async () => (await journal()).find(({ call, event }) => call === first?.call && event === 'ended');
  expect(await endOf()).toBeUndefined();
  process.kill(serve.pid, 'SIGCONT');

  expect(await text).toMatch(/lease_lost/);
  await until(async () => (await endOf()) !== undefined, 'the model server was told to stop');
  expect((await endOf())?.why).toBe('left');

  await serve.untilPool('every job has its outcome', ({ objectives }) =>
    objectives.every(({ stored }) => stored === 0),
  );
  const results = await fetchResults(serve.apiUrl, jobs);
  expect(results.map(({ status, text: result, expected }) => status === 'completed' && result === expected)).toEqual(
    jobs.map(() => true),
  );
  // Its slots are all there: two calls at a time, and never more.
  expect((await Promise.all([1, 2].map(() => chat(serve)))).map(({ status }) => status)).toEqual([200, 200]);
  expect(Math.max(...(await journal()).map(({ open }) => open))).toBeLessThanOrEqual(2);
});

function chat(serve: ServeProcess): Promise<Response> {
  return fetch(`${serve.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }] }),
  });
}
