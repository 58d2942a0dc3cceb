import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis } from '../../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../support/live-order-builders.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';

const redis = useRedis();
let cleanUps: (() => Promise<void> | void)[] = [];
let pool = 0;

beforeEach(() => {
  pool += 1;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 10 });

function openOrder(owner: string, url = redis.url): PoolLiveOrder {
  const command = createRedis({ url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  const store = new RedisLedgerStore({
    command,
    subscriber,
    keyPrefix: redis.prefix,
    installation: 'test',
    pool: `ns/p${pool}`,
  });
  const order = new PoolLiveOrder({ store, pool: `ns/p${pool}`, owner, clock: systemClock, log: silentLogger });
  cleanUps.push(async () => {
    await order.close();
    command.disconnect();
    subscriber.disconnect();
  });
  return order;
}

test('a call that finds a free slot runs at once, and its slot comes back', async () => {
  const order = openOrder('gw-a');
  await order.setEndpoints([endpoint('ep-1', 1)]);

  const lease = leaseOf(await order.enter(ticketSpec('a'), enterOptions()));
  expect(lease.endpointId).toBe('ep-1');
  expect((await order.snapshot()).endpoints[0]?.used).toBe(1);

  await lease.settle(COMPLETED);
  await eventually(async () => expect((await order.snapshot()).endpoints[0]?.used).toBe(0));
});

test('a slot freed by one gateway is offered to the call that waits at another', async () => {
  const [a, b] = [openOrder('gw-a'), openOrder('gw-b')];
  await a.setEndpoints([endpoint('ep-1', 1)]);
  const first = leaseOf(await a.enter(ticketSpec('a'), enterOptions()));
  const positions: number[] = [];
  const second = b.enter(ticketSpec('b'), enterOptions({ onWaiting: (position) => positions.push(position) }));
  await eventually(() => expect(positions).toEqual([0]));

  await first.settle(COMPLETED);
  const lease = leaseOf(await second);
  expect(lease.endpointId).toBe('ep-1');
  expect(lease.waitedMs).toBeGreaterThanOrEqual(0);
});
