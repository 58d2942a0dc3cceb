import { Registry } from 'prom-client';
import { afterEach, expect, test, vi } from 'vitest';
import type { Endpoint } from '../../src/core/endpoint.ts';
import type { EndpointSlots, Lease } from '../../src/core/live-order.ts';
import { dispatcherMetrics } from '../../src/dispatcher/metrics.ts';
import { SlotsLoop } from '../../src/dispatcher/slots-loop.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createRedis } from '../../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../../src/queue/live-order/pool-live-order.ts';
import { COMPLETED, enterOptions, leaseOf, ticketSpec } from '../support/live-order-builders.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { endpoint, FakeDirectory, POOL } from '../unit/dispatcher/support.ts';

const BURST = 10_000;
const redis = useRedis();
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function openOrder(owner: string): PoolLiveOrder {
  const command = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
  const store = new RedisLedgerStore({
    ...{ command, subscriber, keyPrefix: redis.prefix, installation: 'burst', pool: POOL },
  });
  const order = new PoolLiveOrder({ store, pool: POOL, owner, clock: systemClock, log: silentLogger });
  cleanUps.push(async () => {
    await order.close();
    command.disconnect();
    subscriber.disconnect();
  });
  return order;
}

/** Counts what runs on each endpoint, and the most that the slots loop has ever opened there. */
class Engines {
  readonly opened = new Map<string, number>();
  readonly #running = new Map<string, number>();
  readonly served = new Map<string, number>();
  readonly breaches: string[] = [];

  open(endpoints: readonly EndpointSlots[]): void {
    for (const { id, slots } of endpoints) this.opened.set(id, Math.max(slots, this.opened.get(id) ?? 0));
  }

  /** Takes a few turns of the event loop and settles. */
  async run(lease: Lease): Promise<void> {
    const { endpointId } = lease;
    const running = (this.#running.get(endpointId) ?? 0) + 1;
    const slots = this.opened.get(endpointId) ?? 0;
    if (running > slots) this.breaches.push(`${endpointId}: ${running} of ${slots}`);
    this.#running.set(endpointId, running);
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    this.#running.set(endpointId, (this.#running.get(endpointId) ?? 0) - 1);
    this.served.set(endpointId, (this.served.get(endpointId) ?? 0) + 1);
    await lease.settle(COMPLETED);
  }
}

test('10,000 calls that wait for a sleeping pool never run more than its slots, not even while these open slowly', async () => {
  const orders = ['gw-a', 'gw-b'].map(openOrder);
  const [first] = orders;
  const engines = new Engines();
  const directory = new FakeDirectory([]);
  const slots = new SlotsLoop({
    pool: POOL,
    directory,
    ledger: {
      forgetEndpoints: () => undefined,
      // Counted when it is said: the ledger hears of it later, never earlier.
      setEndpoints: (wanted) => {
        engines.open(wanted);
        return first!.setEndpoints(wanted);
      },
    },
    modelServer: { probe: () => Promise.resolve(true) },
    clock: systemClock,
    log: silentLogger,
    metrics: dispatcherMetrics(new Registry()),
  });
  cleanUps.push(() => slots.close());

  const rank = () => directory.list(POOL).map(({ id }) => id);
  const call = async (index: number): Promise<void> => {
    const entry = await orders[index % orders.length]!.enter(ticketSpec(`call-${index}`), enterOptions({ rank }));
    const lease = leaseOf(entry);
    await engines.run(lease);
    slots.report(lease.endpointId, 'ok');
  };
  const waiting = async () => (await first!.snapshot()).objectives[0]?.waitingHeld;
  const calls: Promise<void>[] = [];
  // In waves: an admission that Redis does not answer within two seconds is refused.
  while (calls.length < BURST) {
    calls.push(...Array.from({ length: 500 }, (_, index) => call(calls.length + index)));
    await vi.waitFor(async () => expect(await waiting()).toBe(calls.length), { timeout: 60_000, interval: 10 });
  }
  expect(engines.served.size).toBe(0);

  // One replica wakes; seven more follow when some of the burst is done.
  const wake = (index: number): Endpoint =>
    endpoint(`pod-${index}`, { slotsPerEndpoint: 32, readyAtEpochMs: systemClock.epochMs() });
  directory.set([wake(0)]);
  await vi.waitFor(() => expect(engines.served.get('pod-0') ?? 0).toBeGreaterThan(500), { timeout: 60_000 });
  directory.set(Array.from({ length: 8 }, (_, index) => wake(index)));
  await Promise.all(calls);

  expect(engines.breaches).toEqual([]);
  expect([...engines.served.values()].reduce((sum, count) => sum + count, 0)).toBe(BURST);
  expect(Math.min(...engines.opened.values())).toBe(32);
  expect(engines.served.size).toBe(8);
  await vi.waitFor(async () => {
    const { endpoints, objectives } = await first!.snapshot();
    expect(endpoints.map(({ used }) => used)).toEqual(Array(8).fill(0));
    expect(objectives[0]?.waitingHeld).toBe(0);
  });
}, 120_000);
