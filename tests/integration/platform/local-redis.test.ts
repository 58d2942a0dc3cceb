import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { processIdentity } from '../../../src/platform/local-redis/process-identity.ts';
import { type ResolvedRedis, resolveRedis } from '../../../src/platform/local-redis/resolve.ts';
import type { ServerLifetime } from '../../../src/platform/local-redis/spawn-server.ts';
import { killNow, startDedicatedRedis } from '../../support/redis.ts';

const STARTER = fileURLToPath(new URL('./start-redis.ts', import.meta.url));
const never = () => new AbortController().signal;

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts or takes over the server of the folder in this process; it ends with the test. */
async function open(dataDir: string, lifetime: ServerLifetime = 'detached'): Promise<ResolvedRedis> {
  const redis = await resolveRedis({ dataDir, persistence: 'aof', lifetime }, AbortSignal.timeout(60_000));
  onTestFinished(() => redis.stop());
  return redis;
}

/** Does the same in a process of its own, which the test may kill. */
async function openInProcess(dataDir: string, lifetime: ServerLifetime) {
  const starter: ChildProcess = spawn(process.execPath, [STARTER, dataDir, lifetime], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => {
    starter.kill('SIGKILL');
  });
  const [line] = (await once(createInterface({ input: starter.stdout! }), 'line')) as [string];
  const server = JSON.parse(line) as { url: string; pid: number };
  onTestFinished(() => killNow(server.pid));
  return { ...server, starter };
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: null });
  client.on('error', () => undefined);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

/** Returns when what was written is on disk. */
const synced = (client: Redis) => client.call('WAITAOF', '1', '0', '5000');
const isRunning = async (pid: number) => (await processIdentity(pid, never())) !== undefined;

test('a detached server outlives kill -9 of its starter, and the next start takes it over with its data', async () => {
  const folder = await makeFolder();
  const first = await openInProcess(folder, 'detached');
  await withClient(first.url, (client) => client.set('kept', 'yes'));
  first.starter.kill('SIGKILL');
  await once(first.starter, 'exit');
  const second = await open(folder);
  expect(second).toMatchObject({ url: first.url, pid: first.pid });
  expect(second.source).toContain('already running');
  expect(await withClient(second.url, (client) => client.get('kept'))).toBe('yes');
});

test('a server with the lifetime of its starter ends when that is killed with -9', async () => {
  const { starter, pid } = await openInProcess(await makeFolder(), 'with-process');
  expect(await isRunning(pid)).toBe(true);
  starter.kill('SIGKILL');
  await vi.waitFor(async () => expect(await isRunning(pid)).toBe(false), 10_000);
});

test('processes that start at once on one folder share one server', async () => {
  const folder = await makeFolder();
  const started = await Promise.all(Array.from({ length: 4 }, () => openInProcess(folder, 'detached')));
  expect(new Set(started.map(({ pid }) => pid)).size).toBe(1);
  expect(new Set(started.map(({ url }) => url)).size).toBe(1);
});

test('after kill -9 of the server a restart has the data, at the same address, and clients come back by themselves', async () => {
  const redis = await startDedicatedRedis();
  const client = new Redis(redis.url);
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  await client.set('accepted', 'job-1');
  await synced(client);
  const before = redis.url;
  await redis.kill();
  await redis.restart();
  expect(redis.url).toBe(before);
  expect(await client.get('accepted')).toBe('job-1');
});

test('an append-only file whose last command was cut off still loads, without that command', async () => {
  const redis = await startDedicatedRedis();
  await withClient(redis.url, async (client) => {
    await client.set('whole', 'yes');
    await client.set('cut-off', 'yes');
    await synced(client);
  });
  await redis.kill();
  const folder = join(redis.dataDir, 'appendonlydir');
  const log = join(folder, (await readdir(folder)).find((name) => name.endsWith('.incr.aof'))!);
  await truncate(log, (await stat(log)).size - 3);
  await redis.restart();
  expect(await withClient(redis.url, (client) => client.mget('whole', 'cut-off'))).toEqual(['yes', null]);
});

test('a copy of a folder whose server runs gets a server of its own', async () => {
  const folder = await makeFolder();
  const original = await open(folder);
  const copy = await makeFolder();
  await cp(folder, copy, { recursive: true });
  const copied = await open(copy);
  expect(copied.pid).not.toBe(original.pid);
  expect(copied.url).not.toBe(original.url);
});

test('when another program has taken the port, the server moves to another one and keeps its data', async () => {
  const folder = await makeFolder();
  const first = await open(folder);
  await withClient(first.url, (client) => client.set('kept', 'yes'));
  await first.stop();
  const squatter = createServer((socket) => socket.end('no Redis here\r\n'));
  squatter.listen(Number(new URL(first.url).port), '127.0.0.1');
  await once(squatter, 'listening');
  onTestFinished(() => {
    squatter.close();
  });
  const second = await open(folder);
  expect(second.url).not.toBe(first.url);
  expect(await withClient(second.url, (client) => client.get('kept'))).toBe('yes');
});

test('stop returns when the server is gone, may be repeated, and the next start has the data', async () => {
  const folder = await makeFolder();
  const first = await open(folder);
  await withClient(first.url, (client) => client.set('kept', 'yes'));
  await first.stop();
  expect(await isRunning(first.pid!)).toBe(false);
  await first.stop();
  const second = await open(folder);
  expect(second.url).toBe(first.url);
  expect(await withClient(second.url, (client) => client.get('kept'))).toBe('yes');
});

test('the server asks for its password, and only the owner can read it', async () => {
  const folder = await makeFolder();
  const { url, source } = await open(folder);
  const password = new URL(url).password;
  await expect(withClient(url.replace(`:${password}@`, ''), (client) => client.get('any'))).rejects.toThrow('NOAUTH');
  expect(source).not.toContain(password);
  for (const name of ['server.json', 'redis.conf', 'redis.log'])
    expect((await stat(join(folder, name))).mode & 0o077).toBe(0);
});

test('a start that is given up leaves no server behind', async () => {
  const folder = await makeFolder();
  const stop = new AbortController();
  const opening = resolveRedis({ dataDir: folder, persistence: 'aof', lifetime: 'detached' }, stop.signal);
  await vi.waitFor(() => stat(join(folder, 'redis.log')), { timeout: 10_000, interval: 1 });
  stop.abort(new Error('changed my mind'));
  await opening.then(
    (redis) => redis.stop(),
    () => undefined,
  );
  const again = await open(folder);
  expect(again.source).not.toContain('already running');
});

test('the given Redis is used as it is, shown without its password, and not stopped', async () => {
  const dedicated = await startDedicatedRedis({ persistence: 'none' });
  const unused = join(tmpdir(), 'never-made');
  const given = await resolveRedis(
    { url: dedicated.url, dataDir: unused, persistence: 'aof', lifetime: 'detached' },
    never(),
  );
  await given.stop();
  expect(given.url).toBe(dedicated.url);
  expect(given.source).toMatch(/ at redis:\/\/:\*\*\*@127\.0\.0\.1:\d+\/0, as configured$/);
  expect(await isRunning(dedicated.pid)).toBe(true);
});

test('a given Redis without the database of the URL is refused', async () => {
  const dedicated = await startDedicatedRedis({ persistence: 'none' });
  const url = dedicated.url.replace(/\/0$/, '/99');
  const options = { url, dataDir: tmpdir(), persistence: 'aof', lifetime: 'detached' } as const;
  await expect(resolveRedis(options, never())).rejects.toThrow('DB index is out of range');
});

test.each([
  { name: 'cannot be read', url: 'not a url s3cret', problem: 'the Redis URL cannot be read' },
  { name: 'does not answer', url: 'redis://:s3cret@127.0.0.1:1', problem: 'ECONNREFUSED' },
])('a given Redis that $name is one error without the password', async ({ url, problem }) => {
  const options = { url, dataDir: tmpdir(), persistence: 'aof', lifetime: 'detached' } as const;
  const error = await resolveRedis(options, never()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'PilotlightError' });
  expect(String(error)).toContain(problem);
  expect(String(error)).not.toContain('s3cret');
});
