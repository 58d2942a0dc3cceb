import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { ErrorEnvelope } from '../../src/core/errors.ts';
import type { PoolReport } from '../../src/core/status.ts';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const allDone = ({ objectives }: PoolReport) => objectives.every(({ stored }) => stored === 0);
const completed = (atLeast: number) => (pool: PoolReport) =>
  pool.objectives.some(({ outcomes }) => outcomes.completed >= atLeast);

function chat(apiUrl: string, fields: Record<string, unknown> = {}): Promise<Response> {
  return fetch(`${apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, max_tokens: 4, messages: [{ role: 'user', content: 'Hi' }], ...fields }),
  });
}

test('a port in use stops the start with the setting to change', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const serve = await prepareServe(poolYaml());
  const { exitCode, output } = await serve.runToEnd(['--port', String(port), '--set', 'admin.port=0']);
  expect(exitCode).toBe(1);
  expect(output).toContain(`server.port: another program listens on 127.0.0.1:${port}`);
});

test('a Redis that is not there stops the start with one sentence', async () => {
  const serve = await prepareServe(poolYaml());
  await serve.redis.stop();
  const { exitCode, output } = await serve.runToEnd(['--port', '0', '--set', 'admin.port=0']);
  expect(exitCode).toBe(1);
  expect(output).toMatch(/Redis cannot be used .*check the URL and that the server runs/);
});

test('a typo in the objects stops the start, names file, line and field, and exits with 2', async () => {
  const serve = await prepareServe(poolYaml().replace('maxReplicas', 'maxReplcas'));
  const { exitCode, output } = await serve.runToEnd(['--port', '0', '--set', 'admin.port=0']);
  expect(exitCode).toBe(2);
  expect(output).toMatch(/objects\.yaml:\d+:\d+: ScalePolicy.*maxReplcas.*did you mean "maxReplicas"/i);
});

test('a broken edit keeps the old objects and says what is wrong; the mended one is taken up', async () => {
  const serve = await prepareServe(poolYaml());
  await serve.start();
  await serve.writeObjects(poolYaml({ keepWarm: '10' }));
  await until(async () => (await serve.status()).problems.length > 0, 'the status tells of the broken edit');
  expect((await serve.status()).problems.join('\n')).toMatch(/objects\.yaml:\d+:\d+.*keepWarm/);
  expect((await chat(serve.apiUrl)).status).toBe(200);

  await serve.writeObjects(poolYaml().replace('aliases: [sim]', 'aliases: [sim, added-later]'));
  await serve.untilPool('the new alias is served', ({ models }) => models.includes('added-later'));
  expect((await serve.status()).problems).toEqual([]);
  expect((await chat(serve.apiUrl, { model: 'added-later' })).status).toBe(200);
});

test('a command that does not exist shows as a stuck boot, opens the breaker and answers 503 with the reason', async () => {
  const serve = await prepareServe(poolYaml({ command: ['/nonexistent/model-server', '--port={port}'], drain: '1s' }));
  await serve.start();
  const first = chat(serve.apiUrl);
  await serve.untilPool('the pool says why nothing comes', ({ blockedWhy }) => blockedWhy !== null, 60_000);
  expect((await serve.pool()).blockedWhy).toMatch(/nonexistent\/model-server/);
  const refused = await chat(serve.apiUrl);
  expect(refused.status).toBe(503);
  const { error } = (await refused.json()) as ErrorEnvelope;
  expect(error).toMatchObject({ code: 'no_capacity', type: 'overloaded_error', param: null });
  expect(error.message).toContain('nonexistent');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

  expect(await serve.stop()).toBe(0);
  const cutShort = await first;
  expect(cutShort.status).toBe(503);
  expect(await cutShort.json()).toMatchObject({ error: { code: 'draining' } });
});

test('SIGTERM lets a running stream finish, refuses new calls, keeps stored jobs, and leaves nothing behind', async () => {
  const serve = await prepareServe(poolYaml({ slots: 1, maxReplicas: 1 }));
  await serve.start();
  await (await chat(serve.apiUrl)).json();
  const running = await chat(serve.apiUrl, { stream: true, max_tokens: 150, ignore_eos: true });
  const text = running.text();
  const jobs = await submitJobs(serve.apiUrl, { count: 5, objective: 'nightly' });
  const stopped = serve.stop();
  expect(await text).toMatch(/"finish_reason":"length"[\s\S]*data: \[DONE\]/);
  expect(await stopped).toBe(0);

  await serve.start();
  await serve.untilPool('the stored jobs have run', allDone);
  expect((await fetchResults(serve.apiUrl, jobs)).map(({ text: result, expected }) => result === expected)).toEqual(
    jobs.map(() => true),
  );
});

test('model servers that crash, refuse and abort lose no job', async () => {
  const faults = JSON.stringify({
    calls: [
      { kind: 'abort', count: 1 },
      { kind: 'status', count: 1, status: 500 },
      { kind: 'disconnect', count: 1, afterTokens: 3 },
    ],
  });
  const serve = await prepareServe(poolYaml({ sim: [`--faults=${faults}`, '--speed=4'], slots: 4 }));
  await serve.start();
  const jobs = await submitJobs(serve.apiUrl, { count: 60, objective: 'nightly' });
  await serve.untilPool('a model server answers', completed(5), 90_000);
  const [victim = 0] = await serve.modelServerPids();
  process.kill(victim, 'SIGKILL');
  await serve.untilPool('every job has its outcome', allDone, 120_000);
  const results = await fetchResults(serve.apiUrl, jobs);
  expect(results.filter(({ text, expected }) => text !== expected)).toEqual([]);
});
