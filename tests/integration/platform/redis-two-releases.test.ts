import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { createRedis } from '../../../src/platform/redis/connection.ts';
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
