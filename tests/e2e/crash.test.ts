import { expect, test } from 'vitest';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { isAlive } from '../support/processes.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const JOBS = 300;

/** Every accepted job has exactly one outcome: completed, with the answer to its own question. */
async function expectEveryJobAnswered(serve: ServeProcess, jobs: Awaited<ReturnType<typeof submitJobs>>) {
  await serve.untilPool(
    'every stored job has its outcome',
    ({ objectives }) => objectives.every(({ stored }) => stored === 0),
    120_000,
  );
  const results = await fetchResults(serve.apiUrl, jobs);
  expect(results.filter(({ status }) => status !== 'completed')).toEqual([]);
  expect(results.filter(({ text, expected }) => text !== expected)).toEqual([]);
}

test('kill -9 in mid-run and a restart finish every accepted job exactly once, and leave no model server behind', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'] }));
  await serve.start();
  const jobs = await submitJobs(serve.apiUrl, { count: JOBS, objective: 'nightly' });
  await serve.untilPool('work is going on', ({ objectives }) => objectives.some(({ running }) => running > 8));

  const children = await serve.childPids();
  expect(children.length).toBeGreaterThan(0);
  await serve.kill();
  const areGone = async () => !(await Promise.all(children.map(isAlive))).includes(true);
  await until(areGone, 'the model servers of the killed process are gone', 30_000);

  await serve.start();
  await expectEveryJobAnswered(serve, jobs);
});

test('Redis killed in mid-run comes back with its data: calls are refused meanwhile, nothing accepted is lost', async () => {
  const serve = await prepareServe(poolYaml({ sim: ['--speed=4'] }));
  await serve.start();
  const jobs = await submitJobs(serve.apiUrl, { count: JOBS, objective: 'nightly' });
  await serve.untilPool('work is going on', ({ objectives }) => objectives.some(({ running }) => running > 8));

  await serve.redis.kill();
  const refused = await fetch(`${serve.apiUrl}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sim', messages: [{ role: 'user', content: 'x' }] }),
  });
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ error: { type: 'overloaded_error', param: null } });
  expect((await serve.status()).redis.reachable).toBe(false);

  await serve.redis.restart();
  await expectEveryJobAnswered(serve, jobs);
});
