import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { batchFiles, batchRows, problemsOf, sdk, startBatch } from '../support/batch-rows.ts';
import { fetchResults, type SubmittedJob, submitJobs } from '../support/job-client.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import {
  MASTER_NAME,
  openServers,
  startCluster,
  startSentinels,
  type TestServer,
  type TestServers,
} from '../support/redis-cluster.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';
import { until } from '../support/until.ts';

const PASSWORD = 'p4ss-of-the-queue';
const RIGHTS = readFileSync(new URL('../../infra/redis/pilotlight.acl', import.meta.url), 'utf8').trim();

let servers: TestServers;
beforeAll(async () => {
  servers = await openServers();
});
afterAll(() => servers.close());

/** The user of the page, with a password of the tests. */
async function addUser(client: Redis): Promise<void> {
  const [, name = '', ...rules] = RIGHTS.replace('>CHANGE-ME', `>${PASSWORD}`).split(' ');
  await client.call('acl', 'setuser', name, ...rules);
}

async function errorsOf(all: readonly TestServer[], kind: string): Promise<number> {
  const infos = await Promise.all(all.map(({ client }) => client.info('errorstats').catch(() => '')));
  const counts = infos.map((info) => Number(new RegExp(`errorstat_${kind}:count=(\\d+)`).exec(info)?.[1] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function chat(serve: ServeProcess, stream = false): Promise<{ status: number; text: string }> {
  const body = { model: MODEL, max_tokens: 5, stream, messages: [{ role: 'user', content: 'hello' }] };
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${serve.apiUrl}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return { status: answer.status, text: await answer.text() };
}

/** Each with its own answer. */
async function untilAnswered(serve: ServeProcess, jobs: readonly SubmittedJob[]): Promise<void> {
  const open = async () => {
    const outcomes = await fetchResults(serve.apiUrl, jobs);
    return outcomes.filter(({ text, expected }) => text !== expected).map(({ id, status }) => `${id} ${status}`);
  };
  let left: readonly string[] = [];
  await until(async () => (left = await open()).length === 0, 'all jobs are answered', 60_000).catch(
    (error: unknown) => {
      throw new Error(`not answered: ${left.join(', ')}`, { cause: error });
    },
  );
}

/** Everything that uses Redis: held calls, streams, background responses with events, jobs, files, a batch. */
async function workload(serve: ServeProcess): Promise<void> {
  expect((await chat(serve)).status).toBe(200);
  expect((await chat(serve, true)).text).toContain('[DONE]');
  const client = sdk(serve.apiUrl);
  const background = await client.responses.create({ model: MODEL, input: 'hello', background: true, stream: true });
  let events = 0;
  for await (const _event of background) events += 1;
  expect(events).toBeGreaterThan(2);
  const jobs = await submitJobs(serve.apiUrl, { count: 20, objective: 'nightly' });
  const rows = batchRows(60);
  const { id } = await startBatch(client, rows);
  await untilAnswered(serve, jobs);
  await until(async () => (await client.batches.retrieve(id)).status === 'completed', 'the batch is over', 60_000);
  expect(problemsOf(rows, await batchFiles(client, await client.batches.retrieve(id)))).toEqual([]);
}

test('on a cluster, with no more rights than the page gives: everything works, also after a primary died', async () => {
  const cluster = await startCluster(servers, true);
  const all = [...cluster.primaries, ...cluster.replicas];
  for (const { client } of all) await addUser(client);
  const serve = await prepareServe(poolYaml({ sim: ['--speed=8'] }), {
    environment: {
      PILOTLIGHT_REDIS_URL: '',
      PILOTLIGHT_REDIS_CLUSTER_NODES: JSON.stringify(cluster.nodes.slice(0, 2)),
      PILOTLIGHT_REDIS_USERNAME: 'pilotlight',
      PILOTLIGHT_REDIS_PASSWORD: PASSWORD,
    },
  });
  await serve.start();
  await workload(serve);
  expect(await errorsOf(all, 'CROSSSLOT')).toBe(0);
  expect(await errorsOf(all, 'NOPERM')).toBe(0);
  // What is counted above would have been seen.
  await expect(all[0]?.client.del('a', 'b')).rejects.toThrow('CROSSSLOT');
  expect(await errorsOf(all, 'CROSSSLOT')).toBe(1);

  const dead = await cluster.ownerOf('pilotlight:{local/default/chat}');
  await dead.kill();
  await until(async () => (await chat(serve)).status === 200, 'calls are answered again');
  await workload(serve);
  expect(await serve.log()).not.toContain(PASSWORD);
});

test('behind sentinels: what was accepted survives the death of the primary, and two installations do not meet', async () => {
  const { data, addresses } = await startSentinels(servers, { downAfterMs: 2_000, password: PASSWORD });
  const environment = {
    PILOTLIGHT_REDIS_URL: '',
    PILOTLIGHT_REDIS_SENTINEL_NODES: JSON.stringify(addresses),
    PILOTLIGHT_REDIS_SENTINEL_MASTER_NAME: MASTER_NAME,
    PILOTLIGHT_REDIS_SENTINEL_PASSWORD: `${PASSWORD}-watch`,
    PILOTLIGHT_REDIS_PASSWORD: PASSWORD,
  };
  const yaml = poolYaml({ sim: ['--speed=4'], keepWarm: '30s' });
  const serve = await prepareServe(yaml, { environment });
  const other = await prepareServe(yaml, { environment: { ...environment, PILOTLIGHT_REDIS_KEY_PREFIX: 'other' } });
  await Promise.all([serve.start(), other.start()]);
  await Promise.all([workload(serve), workload(other)]);
  const keys = await data[0].client.keys('*');
  expect(keys.filter((key) => !/^(pilotlight|other):/.test(key))).toEqual([]);
  expect(keys.filter((key) => key.startsWith('other:')).length).toBeGreaterThan(10);

  const jobs = await submitJobs(serve.apiUrl, { count: 60, objective: 'nightly' });
  const diedAtMs = performance.now();
  await data[0].kill();
  await until(async () => (await chat(serve)).status === 200, 'calls are answered again', 30_000);
  const gapMs = Math.round(performance.now() - diedAtMs);
  await untilAnswered(serve, jobs);
  process.stdout.write(`fail-over by sentinels: ${gapMs} ms\n`);
  expect(await serve.log()).not.toContain(PASSWORD);
});
