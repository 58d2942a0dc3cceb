import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { openRedis, type RedisClient, redisFailure, whenReady } from '../../../src/platform/redis/connection.ts';
import { sendMany } from '../../../src/platform/redis/many.ts';
import { slotOf } from '../../../src/platform/redis/slot.ts';
import { parseRedisAddress, type RedisTarget } from '../../../src/platform/redis/target.ts';
import { BullmqBacklog } from '../../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../../src/queue/adapters/job-index/channels.ts';
import { orderPrefix, poolHashTag, RedisLedgerStore } from '../../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../../support/live-order-builders.ts';
import { openServers, startCluster, type TestCluster, type TestServers } from '../../support/redis-cluster.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { until } from '../../support/until.ts';

let servers: TestServers;
let cluster: TestCluster;
const cleanUps: (() => Promise<void> | void)[] = [];
let pool = 0;

beforeAll(async () => {
  servers = await openServers();
  cluster = await startCluster(servers, true);
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});
afterAll(() => servers.close());

const target = (): RedisTarget => ({
  kind: 'cluster',
  nodes: cluster.nodes.map((text) => parseRedisAddress(text)!),
  login: { username: null, password: null },
  tls: null,
});

async function connect() {
  const command = openRedis({ target: target(), purpose: 'command', log: silentLogger });
  const subscriber = openRedis({ target: target(), purpose: 'subscriber', log: silentLogger });
  cleanUps.push(() => {
    command.disconnect();
    subscriber.disconnect();
  });
  await Promise.all([whenReady(command, 10_000), whenReady(subscriber, 10_000)]);
  return { command, subscriber };
}

const poolKey = () => `ns/p${pool}`;
const metaKey = () => `${orderPrefix(`c:${poolHashTag('i', poolKey())}`)}meta`;

async function openOrder(owner: string) {
  const { command, subscriber } = await connect();
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'c:', installation: 'i', pool: poolKey() });
  const order = new PoolLiveOrder({ store, pool: poolKey(), owner, clock: systemClock, log: silentLogger });
  cleanUps.push(() => order.close());
  return order;
}

/** Of the ledger, each time it begins anew. */
function incarnations(order: PoolLiveOrder): readonly string[] {
  const seen: string[] = [];
  order.onIncarnation((incarnation) => seen.push(incarnation));
  return seen;
}

async function answered(command: RedisClient, key: string): Promise<boolean> {
  return command.set(key, '1').then(
    () => true,
    () => false,
  );
}

/** Errors of that kind that any node has ever answered with. */
async function errorsOf(kind: string): Promise<number> {
  const all = [...cluster.primaries, ...cluster.replicas];
  const infos = await Promise.all(all.map(({ client }) => client.info('errorstats').catch(() => '')));
  const counts = infos.map((info) => Number(new RegExp(`errorstat_${kind}:count=(\\d+)`).exec(info)?.[1] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

test('a key is looked for where the cluster puts it', async () => {
  const { client } = cluster.primaries[0]!;
  for (const key of ['', 'a', 'p:{i/ns/pool}:order:meta', '{}x', 'a{}b{c}', '{ü}', '{unclosed', 'x{a}{b}']) {
    expect(slotOf(key), key).toBe(await client.call('cluster', 'keyslot', key));
  }
});

test('commands for keys of different nodes are answered in their order, and one that fails is not hidden', async () => {
  const { command } = await connect();
  const keys = Array.from({ length: 30 }, (_, index) => `many:${index}`);
  const replies = await sendMany(
    command,
    keys.map((key, index) => ['set', key, index, 'GET']),
  );
  expect(replies).toEqual(keys.map(() => null));
  const read = await sendMany(
    command,
    keys.map((key) => ['get', key]),
  );
  expect(read).toEqual(keys.map((_, index) => String(index)));
  await expect(
    sendMany(command, [
      ['get', 'many:0'],
      ['lpush', 'many:1', 'x'],
    ]),
  ).rejects.toThrow('WRONGTYPE');
});

test('two gateways share the slots of pools that lie on different nodes', async () => {
  for (let index = 0; index < 4; index += 1) {
    pool += 1;
    const [a, b] = await Promise.all([openOrder('gw-a'), openOrder('gw-b')]);
    await a.setEndpoints([endpoint('ep-1', 1)]);
    const first = leaseOf(await a.enter(ticketSpec('a'), enterOptions()));
    let isWaiting = false;
    const second = b.enter(ticketSpec('b'), enterOptions({ onWaiting: () => (isWaiting = true) }));
    await until(() => isWaiting, 'the second waits');
    await first.settle(COMPLETED);
    expect(leaseOf(await second).endpointId).toBe('ep-1');
  }
  expect(await errorsOf('CROSSSLOT')).toBe(0);
});

test('a backlog takes, wakes another process and hands out', async () => {
  const root = `c:${poolHashTag('i', 'ns/backlog')}`;
  const open = async () => {
    const { command, subscriber } = await connect();
    const connection = await shareConnection(command);
    const options = { pool: 'ns/backlog', root, client: command, connection, log: silentLogger };
    const backlog = new BullmqBacklog({ ...options, channels: new RedisChannels(subscriber) });
    cleanUps.push(() => backlog.close());
    return backlog;
  };
  const [a, b] = [await open(), await open()];
  const claimed: string[] = [];
  const intake = b.intake('nightly', ({ id }) => {
    claimed.push(id);
    return Promise.resolve({ kind: 'finished' });
  });
  intake.setWindow(4);
  for (let index = 0; index < 20; index += 1) {
    const item = { id: `job_${index}`, objective: 'nightly', acceptRef: 'r', costTokens: 1, tag: 1 };
    expect(await a.add(item)).toEqual({ kind: 'added' });
  }
  await until(() => claimed.length === 20, 'all are claimed');
  expect(new Set(claimed).size).toBe(20);
  expect(await errorsOf('CROSSSLOT')).toBe(0);
});

test('a slot that moves to another node while its pool is used: tickets are known there, and all calls end', async () => {
  pool += 1;
  const order = await openOrder('gw-a');
  await order.setEndpoints([endpoint('ep-1', 2)]);
  const [one, two] = [
    await order.enter(ticketSpec('a'), enterOptions()),
    await order.enter(ticketSpec('b'), enterOptions()),
  ];
  const waiting = order.enter(ticketSpec('c'), enterOptions());
  const from = await cluster.ownerOf(metaKey());
  const to = cluster.primaries.find((server) => server !== from)!;
  const anew = incarnations(order);
  await cluster.moveSlot(metaKey(), from, to);
  await until(() => anew.length > 0, 'the ledger is opened anew');
  expect(await cluster.ownerOf(metaKey())).toBe(to);
  await vi.waitFor(async () => expect((await order.snapshot()).endpoints[0]?.used).toBe(2), { timeout: 10_000 });
  await Promise.all([leaseOf(one).settle(COMPLETED), leaseOf(two).settle(COMPLETED)]);
  await leaseOf(await waiting).settle(COMPLETED);
  await until(async () => (await order.snapshot()).endpoints[0]?.used === 0, 'no slot is lost');
});

test('when a primary dies its replica is found, running calls keep their slots, and nothing is sent twice', async () => {
  pool += 1;
  const order = await openOrder('gw-a');
  await order.setEndpoints([endpoint('ep-1', 1)]);
  const running = leaseOf(await order.enter(ticketSpec('a'), enterOptions()));
  const { command } = await connect();
  const key = `{${metaKey().slice(metaKey().indexOf('{') + 1, metaKey().indexOf('}'))}}:counter`;
  expect(await answered(command, key)).toBe(true);
  const anew = incarnations(order);
  const dead = await cluster.ownerOf(metaKey());
  await dead.kill();
  const failure = await command.incr(key).then(() => null, redisFailure);
  expect(failure).not.toBeNull();

  await until(() => anew.length > 0, 'it is opened anew');
  await until(() => answered(command, key), 'the cluster answers again');
  await vi.waitFor(async () => expect((await order.snapshot()).endpoints[0]?.used).toBe(1), { timeout: 10_000 });
  const waiting = order.enter(ticketSpec('b'), enterOptions());
  await running.settle(COMPLETED);
  await leaseOf(await waiting).settle(COMPLETED);
  await dead.restart();
});
