import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RedisCreationClaims } from '../../../src/batch/adapters/lifecycle/redis-claims.ts';
import { RedisBatchLeases } from '../../../src/batch/adapters/lifecycle/redis-leases.ts';
import { RedisRowStates } from '../../../src/batch/adapters/rows/redis-row-states.ts';
import { RedisSupplyBook } from '../../../src/batch/adapters/rows/redis-supply-book.ts';
import type { RowEnd } from '../../../src/batch/ports.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createRedis, type RedisClient, whenReady } from '../../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../../src/queue/adapters/job-index/channels.ts';
import { RedisOutboxClaims } from '../../../src/queue/adapters/job-index/redis-outbox-claims.ts';
import { RedisLedgerStore } from '../../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../../support/live-order-builders.ts';
import { useRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { until } from '../../support/until.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

const redis = useRedis();
const cleanUps: (() => unknown)[] = [];
let proxy: TcpProxy;
let url: string;
let round = 0;

beforeEach(async () => {
  round += 1;
  const target = new URL(redis.url);
  proxy = await startTcpProxy(Number(target.port));
  target.port = String(proxy.port);
  url = target.href;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await proxy.close();
});

const prefix = () => `${redis.prefix}-${round}`;

async function connect(): Promise<{ command: RedisClient; subscriber: ReturnType<typeof createRedis> }> {
  const command = createRedis({ url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  cleanUps.push(() => {
    command.disconnect();
    subscriber.disconnect();
  });
  await Promise.all([whenReady(command, 10_000), whenReady(subscriber, 10_000)]);
  return { command, subscriber };
}

interface Written {
  /** What a caller does; once more after he was not answered. */
  readonly act: () => Promise<unknown>;
  /** What is there in the end, however often the caller tried. */
  readonly result: () => Promise<unknown>;
}

const ROW: RowEnd = {
  ...{
    place: 0,
    state: 'completed',
    attempt: 1,
    record: { key: 'batches/b/rows/r/s.seg', offsetBytes: 0, lengthBytes: 1 },
  },
  usage: { inputTokens: 1, cachedTokens: 0, outputTokens: 2, reasoningTokens: 0 },
};

const ADAPTERS: Record<string, (client: RedisClient, prefix: string) => Promise<Written>> = {
  'a claim of an outbox': (client, prefix) => {
    const claims = new RedisOutboxClaims(client, prefix);
    return Promise.resolve({
      act: () => claims.claim(['a'], 60_000),
      result: async () => (await claims.claim(['a'], 60_000)).size,
    });
  },
  'a creation under a key': (client, prefix) => {
    const claims = new RedisCreationClaims(client, { prefix });
    let tries = 0;
    const result = async () =>
      (await claims.find('t', 'k', 'h')) !== null && (await redis.client.keys(`${prefix}:*`)).length;
    return Promise.resolve({ act: () => claims.byKey('t', 'k', 'h', `b${(tries += 1)}`), result });
  },
  'a lease of a batch': (client, prefix) => {
    const leases = new RedisBatchLeases(client, { prefix });
    return Promise.resolve({
      act: () => leases.acquire('b', 'me'),
      result: () => leases.acquire('b', 'somebody else'),
    });
  },
  'the end of a row': async (client, prefix) => {
    const states = new RedisRowStates(client, prefix, { next: () => 0.5 });
    await states.open('b', 2, 'open');
    const result = async () => {
      const { completed, pending, usage } = await states.totals('b');
      return [completed, pending, usage.outputTokens];
    };
    return { act: () => states.commit('b', [ROW]), result };
  },
  'a turn of the supply book': (client, prefix) => {
    const book = new RedisSupplyBook(client, prefix);
    const place = { pool: 'ns/p', objective: 'o', tenant: 't' };
    const wish = { batchId: 'b', deadlineEpochMs: 1, costTokens: 10_000, weight: 1 };
    const act = () => book.turn(place, wish);
    const result = async () => (await redis.client.zrange(`${prefix}:{rows/ns/p/o}:order:t`, '0', '-1')).length;
    return Promise.resolve({ act, result });
  },
};

const EXPECTED: Record<string, unknown> = {
  'a claim of an outbox': 0,
  'a creation under a key': 1,
  'a lease of a batch': null,
  'the end of a row': [1, 1, 2],
  'a turn of the supply book': 1,
};

describe.each(Object.entries(ADAPTERS))('%s', (name, open) => {
  test.each(['before the command is sent', 'before its answer is heard'])(
    'is there once when the connection is cut %s and the caller tries again',
    async (when) => {
      const { command } = await connect();
      // The server knows the scripts: what it answers in what follows is the answer to their execution.
      const { act: warmUp } = await open(redis.client, `${prefix()}-warm`);
      await warmUp();
      const { act, result } = await open(command, prefix());
      const isHeard = when === 'before the command is sent';
      if (isHeard) proxy.refuse();
      else proxy.swallowReplies();
      const lost = act().then(
        () => 'answered',
        () => 'rejected',
      );
      await until(() => isHeard || proxy.swallowedBytes > 0, 'the server has done it');
      proxy.cut();
      expect(await lost).toBe('rejected');
      await whenReady(command, 10_000);
      await act();
      expect(await result()).toEqual(EXPECTED[name]);
    },
  );
});

test('a job whose adding was not answered is said to be unknown, and is there once after it was added again', async () => {
  const { command, subscriber } = await connect();
  const connection = await shareConnection(command);
  const root = `${prefix()}:{i/ns/p}`;
  const options = { pool: 'ns/p', root, client: command, connection, log: silentLogger };
  const backlog = new BullmqBacklog({ ...options, channels: new RedisChannels(subscriber) });
  cleanUps.push(() => backlog.close());
  const item = { id: 'job_1', objective: 'o', acceptRef: 'r', costTokens: 1, tag: 1 };
  await backlog.add({ ...item, id: 'job_0' });
  proxy.swallowReplies();
  const lost = backlog.add(item);
  await until(() => proxy.swallowedBytes > 0, 'the server has it');
  proxy.cut();
  expect(await lost).toMatchObject({ kind: 'unknown' });
  await whenReady(command, 10_000);
  expect(await backlog.add(item)).toEqual({ kind: 'added' });
  const claimed: string[] = [];
  const intake = backlog.intake('o', ({ id }) => {
    claimed.push(id);
    return Promise.resolve({ kind: 'finished' });
  });
  intake.setWindow(4);
  await until(() => claimed.includes('job_1'), 'it is claimed');
  proxy.refuse();
  await until(() => command.status !== 'ready', 'the loss is noticed');
  expect(await backlog.add({ ...item, id: 'job_2' })).toMatchObject({ kind: 'refused' });
  proxy.cut();
  await whenReady(command, 10_000);
  expect(await backlog.add({ ...item, id: 'job_3' })).toEqual({ kind: 'added' });
  await until(() => claimed.includes('job_3'), 'the next is claimed');
  expect(claimed.sort()).toEqual(['job_0', 'job_1', 'job_3']);
});

test('an order whose connection is cut again and again runs every call once and loses no slot', async () => {
  const { command, subscriber } = await connect();
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: prefix(), installation: 'i', pool: 'ns/p' });
  const order = new PoolLiveOrder({ store, pool: 'ns/p', owner: 'gw', clock: systemClock, log: silentLogger });
  cleanUps.push(() => order.close());
  await order.setEndpoints([endpoint('ep-1', 2)]);
  const runs: string[] = [];
  let running = 0;
  let mostRunning = 0;
  const call = async (id: string) => {
    const lease = leaseOf(await order.enter(ticketSpec(id), enterOptions()));
    mostRunning = Math.max(mostRunning, (running += 1));
    runs.push(id);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    await lease.settle(COMPLETED);
  };
  for (let cut = 0; cut < 4; cut += 1) {
    const calls = Array.from({ length: 20 }, (_, index) => call(`${cut}-${index}`));
    if (cut % 2 === 0) {
      const before = proxy.swallowedBytes;
      proxy.swallowReplies();
      await until(() => proxy.swallowedBytes > before, 'a turn was executed and nobody heard of it');
    }
    proxy.cut();
    await Promise.all(calls);
  }
  expect(runs.length).toBe(80);
  expect(new Set(runs).size).toBe(80);
  expect(mostRunning).toBeLessThanOrEqual(2);
  await until(async () => (await order.snapshot()).endpoints[0]?.used === 0, 'no slot is lost');
});
