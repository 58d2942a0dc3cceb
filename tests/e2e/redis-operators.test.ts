import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { fetchResults, submitJobs } from '../support/job-client.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { openServers, startCluster, type TestServer, type TestServers } from '../support/redis-cluster.ts';
import { prepareServe } from '../support/serve-process.ts';
import { until } from '../support/until.ts';
import { startReceiver } from '../support/webhook-receiver.ts';
import { run } from '../unit/cli/support.ts';

const PASSWORD = 'p4ss-of-the-queue';
const RIGHTS = readFileSync(new URL('../../infra/redis/pilotlight.acl', import.meta.url), 'utf8').trim();
const KEY = 'sk-limited';
const CHAT = { model: MODEL, max_tokens: 5, messages: [{ role: 'user', content: 'hello' }] };

let servers: TestServers;
beforeAll(async () => {
  servers = await openServers();
});
afterAll(() => servers.close());

async function refusedBy(all: readonly TestServer[]): Promise<readonly string[]> {
  const infos = await Promise.all(all.map(({ client }) => client.info('errorstats')));
  return infos.flatMap((info) => [...info.matchAll(/errorstat_(NOPERM|CROSSSLOT)\S*/g)].map(([line]) => line));
}

test('what operators, webhooks, quotas and keys of submitters do needs no more rights, nor keys of two slots, while a slot moves', async () => {
  const cluster = await startCluster(servers, false);
  for (const { client } of cluster.primaries) {
    const [, name = '', ...rules] = RIGHTS.replace('>CHANGE-ME', `>${PASSWORD}`).split(' ');
    await client.call('acl', 'setuser', name, ...rules);
  }
  const receiver = await startReceiver();
  onTestFinished(() => receiver.close());
  const hash = `sha256:${createHash('sha256').update(KEY).digest('hex')}`;
  const settings = {
    tenants: [{ name: 'limited', keys: [hash], quotas: { requestsPerMinute: 3 } }],
    webhooks: { allowedHosts: [`127.0.0.1:${receiver.port}`] },
  };
  const serve = await prepareServe(poolYaml({ settings }), {
    environment: {
      PILOTLIGHT_REDIS_URL: '',
      PILOTLIGHT_REDIS_CLUSTER_NODES: JSON.stringify(cluster.nodes),
      PILOTLIGHT_REDIS_USERNAME: 'pilotlight',
      PILOTLIGHT_REDIS_PASSWORD: PASSWORD,
    },
  });
  await serve.start();
  const post = (path: string, body: unknown, more: Record<string, string> = {}) => {
    const headers = { 'content-type': 'application/json', 'x-llm-d-inference-objective': 'nightly', ...more };
    return fetch(`${serve.apiUrl}/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  const cli = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await run([...args, '--admin-url', serve.adminUrl], { fetch });
    expect(`${args.join(' ')}: ${exitCode} ${exitCode === 0 ? '' : stdout + stderr}`).toBe(`${args.join(' ')}: 0 `);
    return stdout;
  };

  // A tenant's rate, and keys of submitters.
  const statuses: number[] = [];
  const limited = { authorization: `Bearer ${KEY}` };
  for (let call = 0; call < 4; call += 1) statuses.push((await post('/chat/completions', CHAT, limited)).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  const keyed = { 'idempotency-key': 'only-once' };
  const told = async () => ((await (await post('/jobs', CHAT, keyed)).json()) as { id: string }).id;
  const once = await told();
  expect(await told()).toBe(once);

  // Webhooks, and their history.
  const hook = { name: 'ends', url: receiver.url, event_types: ['pilotlight.job.ended'] };
  const endpoint = (await (await post('/webhook_endpoints', hook)).json()) as { id: string };
  expect((await post('/jobs', { body: CHAT, webhook: true })).status).toBe(202);
  await until(() => receiver.received.length > 0, 'the webhook is told', 30_000);
  await until(async () => {
    const answer = await fetch(`${serve.apiUrl}/v1/webhook_endpoints/${endpoint.id}/deliveries`);
    return answer.ok && ((await answer.json()) as { data: unknown[] }).data.length > 0;
  }, 'the delivery is noted');

  // Operators, with the slot of the pool on its way to another node.
  await cli('queue', 'pause', 'chat', 'nightly');
  const jobs = await submitJobs(serve.apiUrl, { count: 40, objective: 'nightly' });
  const [first] = jobs;
  const key = 'pilotlight:{local/default/chat}';
  const owner = await cluster.ownerOf(key);
  const other = cluster.primaries.find((server) => server !== owner);
  if (!first || !other) throw new Error('there are jobs and other nodes');
  await cluster.moveSlot(key, owner, other);
  expect(await cli('queue')).toContain('by an operator');
  await cli('queue', 'tickets');
  await cli('queue', 'explain', first.id);
  await cli('queue', 'dead', 'list');
  await cli('queue', 'resume', 'chat', 'nightly');
  await cli('wake', 'chat', '--for', '5s');
  await cli('pools');
  await cli('status');
  await cli('reconcile');
  const open = async () => (await fetchResults(serve.apiUrl, jobs)).filter(({ text, expected }) => text !== expected);
  await until(async () => (await open()).length === 0, 'all jobs are answered', 60_000);
  await fetch(`${serve.apiUrl}/v1/jobs/${once}/cancel`, { method: 'POST' });
  await cli('drain', 'chat', '--for', '1s');

  expect(await refusedBy(cluster.primaries)).toEqual([]);
  const log = await serve.log();
  expect(log).not.toMatch(/NOPERM|CROSSSLOT/);
  expect(log).not.toContain(PASSWORD);
  expect(await serve.stop()).toBe(0);
});
