import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { createRedis, whenReady } from '../../../src/platform/redis/connection.ts';
import { formerOrders } from '../../../src/queue/adapters/ledger/former-order.ts';
import { RedisLedgerStore } from '../../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../../support/live-order-builders.ts';
import { startDedicatedRedis } from '../../support/redis.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const CALLS = 150;
const SLOTS = 4;
const OTHER = `#!lua name=pilotlight_ledger_000000000000
redis.register_function('pilotlight_ledger_000000000000', function() return 'other' end)`;

/** A release brings the ledger as a library named after its text, or as a script: two texts are two releases. */
test('two releases share the order of a pool: each call runs once, slots are never exceeded, libraries of others stay', async () => {
  const server = await startDedicatedRedis({ persistence: 'none' });
  const open = (owner: string, useFunctions: boolean) => {
    const command = createRedis({ url: server.url, purpose: 'command', log: silentLogger });
    const subscriber = createRedis({ url: server.url, purpose: 'subscriber', log: silentLogger });
    const place = { keyPrefix: 'p:', installation: 'i', pool: 'ns/p' };
    const store = new RedisLedgerStore({ command, subscriber, useFunctions, ...place });
    const order = new PoolLiveOrder({ store, pool: 'ns/p', owner, clock: systemClock, log: silentLogger });
    cleanUps.push(async () => {
      await order.close();
      command.disconnect();
      subscriber.disconnect();
    });
    return { order, command };
  };
  const older = open('older', false);
  await older.order.setEndpoints([endpoint('ep-1', SLOTS)]);
  await older.command.function('LOAD', OTHER);
  const newer = open('newer', true);

  const runs: string[] = [];
  let running = 0;
  let mostRunning = 0;
  const call = async (order: PoolLiveOrder, id: string, index: number) => {
    const change = { objective: `o${index % 3}`, priority: 10 * (index % 3), fairnessId: `t${index % 5}` };
    const lease = leaseOf(await order.enter(ticketSpec(id, change), enterOptions()));
    mostRunning = Math.max(mostRunning, (running += 1));
    runs.push(id);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    await lease.settle(COMPLETED);
  };
  const calls = Array.from({ length: CALLS }, (_, index) => [
    call(older.order, `older-${index}`, index),
    call(newer.order, `newer-${index}`, index),
  ]);
  await Promise.all(calls.flat());
  expect(new Set(runs).size).toBe(2 * CALLS);
  expect(runs.length).toBe(2 * CALLS);
  expect(mostRunning).toBeLessThanOrEqual(SLOTS);
  expect((await newer.order.snapshot()).endpoints.map(({ used }) => used)).toEqual([0]);
  expect(await newer.command.fcall('pilotlight_ledger_000000000000', 0)).toBe('other');
});

test('an order of an earlier format: its outcomes count here, it keeps a pool awake, and what is left of it goes', async () => {
  const server = await startDedicatedRedis({ persistence: 'none' });
  const command = createRedis({ url: server.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: server.url, purpose: 'subscriber', log: silentLogger });
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'p:', installation: 'i', pool: 'ns/p' });
  const order = new PoolLiveOrder({ store, pool: 'ns/p', owner: 'newer', clock: systemClock, log: silentLogger });
  cleanUps.push(async () => {
    await order.close();
    command.disconnect();
    subscriber.disconnect();
  });
  await whenReady(command, 5_000);
  const root = 'p:{i/ns/p}';
  const first = `${root}:order:`;
  const [former] = formerOrders(command, root);
  if (!former) throw new Error('there is an earlier format');
  expect(await former.look()).toBe('none');

  const nowMs = Date.now();
  const text = JSON.stringify({ atEpochMs: nowMs, recordRef: null, outcome: COMPLETED });
  await command.set(`${first}outcome:job-1`, text, 'PX', 60_000);
  await command.hset(`${first}meta`, 'incarnation', 'x');
  await command.zadd(`${first}owners`, nowMs + 1_000, 'older');
  await command.sadd(`${first}objectives`, 'o');
  await command.set(`${first}book:o`, 'of that format');
  await command.zadd(`${first}outbox`, nowMs, 'job-1');
  await command.hset(`${first}outbox-of`, 'job-1', 'o');
  expect(await former.look()).toBe('alive');
  expect((await order.outcomes(['job-1'])).map((stored) => stored?.outcome)).toEqual([COMPLETED]);
  expect((await order.settle('job-1', 'o', COMPLETED, 'ref-of-another')).kind).toBe('already');
  await order.setEndpoints([endpoint('ep-1', SLOTS)]);
  const { activityEpoch } = await order.snapshot();
  expect(await order.closeIfIdle(activityEpoch)).toBe(false);

  await command.zrem(`${first}owners`, 'older');
  expect(await former.look()).toBe('left');
  expect(await former.claim('left', 1_000)).toBe(true);
  expect(await former.claim('left', 1_000)).toBe(false);
  expect(await former.end()).toBe(1);
  expect(await former.look()).toBe('none');
  expect(await order.outbox(10)).toEqual([{ id: 'job-1', objective: 'o' }]);
  expect((await command.keys(`${first}*`)).sort()).toEqual([`${first}outcome:job-1`, `${first}upgrade:left`]);
  expect(await order.closeIfIdle(activityEpoch)).toBe(true);
});
