import { once } from 'node:events';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { createRedis, type RedisPurpose, redisFailure, whenReady } from '../../../src/platform/redis/connection.ts';
import { useRedis } from '../../support/redis.ts';
import { recordingLogger } from './recording-logger.ts';
import { startTcpProxy } from './tcp-proxy.ts';

const redis = useRedis();
const READY_WITHIN_MS = 10_000;

async function connectThroughProxy(purpose: RedisPurpose) {
  const target = new URL(redis.url);
  const proxy = await startTcpProxy(Number(target.port));
  target.port = String(proxy.port);
  const log = recordingLogger();
  const client = createRedis({ url: target.href, purpose, log });
  onTestFinished(async () => {
    client.disconnect();
    await proxy.close();
  });
  await whenReady(client, READY_WITHIN_MS);
  return { client, proxy, log };
}

/** What a rejected command means; fails the test when it is not rejected. */
async function failureOf(command: Promise<unknown>) {
  return command.then(
    (reply) => expect.fail(`it was answered with ${String(reply)}`),
    (error: unknown) => redisFailure(error),
  );
}

async function isDone(client: Redis, key: string, value: string): Promise<void> {
  await vi.waitFor(async () => expect(await client.get(key)).toBe(value), { timeout: 5_000 });
}

test('a command whose reply is lost is rejected as unknown and runs once, also after the connection is back', async () => {
  const { client, proxy } = await connectThroughProxy('command');
  proxy.swallowReplies();
  const lost = failureOf(client.incr('runs-once'));
  await isDone(redis.client, 'runs-once', '1');
  proxy.cut();
  expect(await lost).toBe('unknown');
  await whenReady(client, READY_WITHIN_MS);
  expect(await client.get('runs-once')).toBe('1');
});

test('a pipeline whose replies are lost is rejected and runs once', async () => {
  const { client, proxy } = await connectThroughProxy('command');
  proxy.swallowReplies();
  const lost = client.pipeline().incr('piped-once').incr('piped-once').exec();
  await isDone(redis.client, 'piped-once', '2');
  proxy.cut();
  const replies = await lost.catch(() => []);
  expect((replies ?? []).every(([error]) => redisFailure(error) === 'unknown')).toBe(true);
  await whenReady(client, READY_WITHIN_MS);
  expect(await client.get('piped-once')).toBe('2');
});

test('while Redis is away a command is rejected at once as not sent, and works again afterwards', async () => {
  const { client, proxy } = await connectThroughProxy('command');
  proxy.refuse();
  await vi.waitFor(() => expect(client.status).not.toBe('ready'));
  const startedMs = performance.now();
  expect(await failureOf(client.incr('never-sent'))).toBe('not_sent');
  expect(performance.now() - startedMs).toBeLessThan(500);
  proxy.cut();
  await whenReady(client, READY_WITHIN_MS);
  expect(await client.get('never-sent')).toBeNull();
});

test('on a connection that went silent a command is rejected in time and the connection is replaced', async () => {
  const { client, proxy } = await connectThroughProxy('command');
  const replaced = new Promise((resolve) => client.once('close', resolve));
  proxy.swallowReplies();
  expect(await failureOf(client.ping())).toBe('unknown');
  await replaced;
  proxy.cut();
  await whenReady(client, READY_WITHIN_MS);
  expect(await client.ping()).toBe('PONG');
});

test('an error that Redis answers is a refusal', async () => {
  const { client } = await connectThroughProxy('command');
  await client.set('text', 'no number');
  expect(await failureOf(client.incr('text'))).toBe('refused');
});

test('a subscription is renewed after the connection was cut', async () => {
  const { client, proxy } = await connectThroughProxy('subscriber');
  const heard: string[] = [];
  client.on('message', (_channel, message) => heard.push(message));
  const channel = `${redis.prefix}-renewed`;
  await client.subscribe(channel);
  proxy.cut();
  await vi.waitFor(async () => {
    await redis.client.publish(channel, 'after the cut');
    expect(heard).toContain('after the cut');
  }, READY_WITHIN_MS);
});

test('a client that is closed while its subscriptions are being renewed ends in peace', async () => {
  const { client, proxy } = await connectThroughProxy('subscriber');
  await client.subscribe(`${redis.prefix}-closing`);
  const renewing = new Promise<void>((resolve) => {
    client.once('ready', () => {
      proxy.swallowReplies();
      resolve();
    });
  });
  proxy.cut();
  await renewing;
  const ended = new Promise((resolve) => client.once('end', resolve));
  client.disconnect();
  await ended;
  await expect(client.subscribe('too late')).rejects.toThrow('closed');
});

/** Ids of the connections that the server knows to be inside this command. */
async function connectionsIn(command: string): Promise<string[]> {
  const list = (await redis.client.client('LIST')) as string;
  const inside = list
    .split('\n')
    .filter((line) => line.includes(` cmd=${command} `) && line.includes(` db=${redisDatabase()} `));
  return inside.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? '');
}

const redisDatabase = () => new URL(redis.url).pathname.slice(1);

test('a blocking read survives a cut connection', async () => {
  const { client, proxy } = await connectThroughProxy('blocking');
  const read = client.bzpopmin('marker', 20);
  await vi.waitFor(async () => expect(await connectionsIn('bzpopmin')).toHaveLength(1));
  const before = await connectionsIn('bzpopmin');
  proxy.cut();
  await vi.waitFor(async () => {
    const now = await connectionsIn('bzpopmin');
    expect(now).toHaveLength(1);
    expect(now).not.toEqual(before);
  }, READY_WITHIN_MS);
  await redis.client.zadd('marker', 1, 'found');
  expect(await read).toEqual(['marker', 'found', '1']);
});

test('a lost connection is one warning and one recovery in the log, and no line holds the password', async () => {
  const { client, proxy, log } = await connectThroughProxy('command');
  proxy.refuse();
  await vi.waitFor(
    () => expect(log.lines.filter((line) => line.event === 'redis.connection_failed').length).toBeGreaterThan(1),
    READY_WITHIN_MS,
  );
  proxy.cut();
  await whenReady(client, READY_WITHIN_MS);
  expect(log.lines.filter((line) => line.level === 'warn')).toHaveLength(1);
  expect(log.lines.filter((line) => line.event === 'redis.connection_recovered')).toHaveLength(1);
  expect(JSON.stringify(log.lines)).not.toContain(new URL(redis.url).password);
});

test('a wrong password is reported without either password', async () => {
  const url = redis.url.replace(new URL(redis.url).password, 'wrong-secret');
  const log = recordingLogger();
  const client = createRedis({ url, purpose: 'command', log });
  onTestFinished(() => client.disconnect());
  await expect(whenReady(client, 1_000)).rejects.toThrow('WRONGPASS');
  expect(log.lines.some((line) => line.level === 'warn')).toBe(true);
  expect(JSON.stringify(log.lines)).not.toContain('wrong-secret');
});

test('waiting for a connection ends with the reason of the signal', async () => {
  const client = createRedis({ url: 'redis://127.0.0.1:1', purpose: 'command', log: recordingLogger() });
  onTestFinished(() => client.disconnect());
  const stop = new AbortController();
  const waiting = whenReady(client, 60_000, stop.signal);
  stop.abort(new Error('shutting down'));
  await expect(waiting).rejects.toThrow('shutting down');
});

test('a client that ended though nobody closed it connects again', async () => {
  const { client, log } = await connectThroughProxy('command');
  const ended = once(client, 'end');
  // Past our own client, as ioredis ends one whose connector is closed while it connects.
  Redis.prototype.disconnect.call(client, false);
  await ended;
  await vi.waitFor(async () => expect(await client.ping()).toBe('PONG'), { timeout: READY_WITHIN_MS });
  expect(log.lines.map(({ event }) => event)).toContain('redis.connection_ended');
});
