import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis } from '../../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../support/live-order-builders.ts';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';

const redis = useRedis();
const cleanUps: (() => Promise<void> | void)[] = [];
let pool = 0;

beforeEach(() => {
  pool += 1;
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 10 });

interface Opened {
  readonly order: PoolLiveOrder;
  /** As if the process had been killed: nothing more reaches Redis. */
  readonly vanish: () => void;
}

function open(owner: string, url = redis.url): Opened {
  const command = createRedis({ url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url, purpose: 'subscriber', log: silentLogger });
  const key = `ns/p${pool}`;
  const store = new RedisLedgerStore({
    ...{ command, subscriber, keyPrefix: redis.prefix, installation: 'test', pool: key },
  });
  const order = new PoolLiveOrder({ store, pool: key, owner, clock: systemClock, log: silentLogger });
  const vanish = () => {
    command.disconnect();
    subscriber.disconnect();
  };
  cleanUps.push(async () => {
    await order.close();
    vanish();
  });
  return { order, vanish };
}

const uses = async (order: PoolLiveOrder) => (await order.snapshot()).endpoints.map(({ used }) => used);

test('a call that finds a free slot runs at once, and its slot comes back', async () => {
  const { order } = open('gw-a');
  await order.setEndpoints([endpoint('ep-1', 1)]);

  const lease = leaseOf(await order.enter(ticketSpec('a'), enterOptions()));
  expect(lease.endpointId).toBe('ep-1');
  expect(await uses(order)).toEqual([1]);

  await lease.settle(COMPLETED);
  await eventually(async () => expect(await uses(order)).toEqual([0]));
});

test('a slot freed by one gateway is offered to the call that waits at another', async () => {
  const [{ order: a }, { order: b }] = [open('gw-a'), open('gw-b')];
  await a.setEndpoints([endpoint('ep-1', 1)]);
  const first = leaseOf(await a.enter(ticketSpec('a'), enterOptions()));
  const positions: number[] = [];
  const second = b.enter(ticketSpec('b'), enterOptions({ onWaiting: (position) => positions.push(position) }));
  await eventually(() => expect(positions).toEqual([0]));

  await first.settle(COMPLETED);
  expect(leaseOf(await second).endpointId).toBe('ep-1');
});

test('a thousand calls of two gateways share eight slots: all run, none twice, no slot is lost', async () => {
  const [{ order: a }, { order: b }] = [open('gw-a'), open('gw-b')];
  await a.setEndpoints([endpoint('ep-1', 4), endpoint('ep-2', 4)]);
  const running = new Map<string, number>();
  let mostRunning = 0;
  const runs: string[] = [];
  const call = async (order: PoolLiveOrder, id: string, priority: number) => {
    const entry = await order.enter(ticketSpec(id, { priority, objective: `p${priority}` }), enterOptions());
    const lease = leaseOf(entry);
    const change = (by: number) => running.set(lease.endpointId, (running.get(lease.endpointId) ?? 0) + by);
    change(1);
    mostRunning = Math.max(mostRunning, ...running.values());
    runs.push(id);
    await new Promise((resolve) => setImmediate(resolve));
    change(-1);
    await lease.settle(COMPLETED);
  };
  const calls = Array.from({ length: 500 }, (_, index) => [
    call(a, `a${index}`, (index % 3) * 10),
    call(b, `b${index}`, (index % 3) * 10),
  ]);
  await Promise.all(calls.flat());
  expect(new Set(runs).size).toBe(1_000);
  expect(mostRunning).toBeLessThanOrEqual(4);
  await eventually(async () => expect(await uses(a)).toEqual([0, 0]));
});

test('a gateway that is killed loses its waiting calls, and its slots once its engines are seen to be idle', async () => {
  const [{ order: a }, { order: b, vanish }] = [open('gw-a'), open('gw-b')];
  await a.setEndpoints([endpoint('ep-1', 1)]);
  leaseOf(await b.enter(ticketSpec('b1'), enterOptions()));
  const lost = b.enter(ticketSpec('b2'), enterOptions());
  lost.catch(() => undefined);
  const waiting = a.enter(ticketSpec('a1'), enterOptions());
  await eventually(async () => expect((await a.snapshot()).objectives[0]?.waitingHeld).toBe(2));
  vanish();

  await eventually(async () => {
    expect(await a.snapshot()).toMatchObject({
      owners: 1,
      objectives: [{ waitingHeld: 1 }],
      endpoints: [{ used: 1, quarantined: 1 }],
    });
  });
  await eventually(async () => {
    a.observe('ep-1', 0, systemClock.epochMs());
    expect((await a.snapshot()).endpoints[0]).toMatchObject({ quarantined: 0 });
  });
  expect(leaseOf(await waiting).endpointId).toBe('ep-1');
});

test.each(['aof', 'none'] as const)(
  'a restart of Redis (persistence %s) loses no ticket and leaks no slot',
  async (persistence) => {
    const server = await startDedicatedRedis({ persistence });
    const [{ order: a }, { order: b }] = [open('gw-a', server.url), open('gw-b', server.url)];
    await a.setEndpoints([endpoint('ep-1', 1), endpoint('ep-2', 1)]);
    const first = leaseOf(await a.enter(ticketSpec('a1'), enterOptions()));
    const second = leaseOf(await b.enter(ticketSpec('b1'), enterOptions()));
    const queued = [a.enter(ticketSpec('a2'), enterOptions()), b.enter(ticketSpec('b2'), enterOptions())];
    await eventually(async () => expect((await a.snapshot()).objectives[0]?.waitingHeld).toBe(2));
    const incarnations: string[] = [];
    a.onIncarnation((incarnation) => incarnations.push(incarnation));

    await server.kill();
    // Ends while Redis is away: the ledger must not hear of it as running again.
    await first.settle(COMPLETED);
    await server.restart();

    const [third] = await Promise.all([Promise.race(queued)]);
    leaseOf(third);
    expect(second.lost.aborted).toBe(false);
    expect(incarnations).toHaveLength(1);
    await second.settle(COMPLETED);
    const leases = (await Promise.all(queued)).map(leaseOf);
    expect(await uses(a)).toEqual([1, 1]);
    for (const lease of leases) await lease.settle(COMPLETED);
    await eventually(async () => expect(await uses(a)).toEqual([0, 0]));
    expect((await a.snapshot()).recovering).toBe(false);
  },
);

test('entering while Redis is away fails within two seconds, and holds no slot when it is back', async () => {
  const server = await startDedicatedRedis({ persistence: 'none' });
  const { order } = open('gw-a', server.url);
  await order.setEndpoints([endpoint('ep-1', 1)]);
  await server.kill();
  const startedAt = systemClock.monotonicMs();
  await expect(order.enter(ticketSpec('t'), enterOptions())).rejects.toMatchObject({ code: 'queue_unavailable' });
  expect(systemClock.monotonicMs() - startedAt).toBeLessThan(4_000);
  await server.restart();
  await eventually(async () => expect(await uses(order)).toEqual([0]));
  expect(leaseOf(await order.enter(ticketSpec('t'), enterOptions())).endpointId).toBe('ep-1');
});
