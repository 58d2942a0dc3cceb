import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EndpointSlots, EndpointUse, LedgerSnapshot } from '../../../src/core/live-order.ts';
import { dispatcherMetrics } from '../../../src/dispatcher/metrics.ts';
import type { PublishRight } from '../../../src/dispatcher/ports.ts';
import { SlotsLoop } from '../../../src/dispatcher/slots-loop.ts';
import { FakeClock, settleMicrotasks } from '../../support/fake-clock.ts';
import { endpoint, FakeDirectory, MemoryLog, POOL } from './support.ts';

let clock: FakeClock;
let directory: FakeDirectory;
let log: MemoryLog;
let sent: (readonly EndpointSlots[])[];
let refusals: number;
let alive: boolean;
let loop: SlotsLoop;

const warm = (id: string, slotsPerEndpoint: number | 'Auto' = 8, draining = false) =>
  endpoint(id, { slotsPerEndpoint, draining, readyAtEpochMs: 0 });
const slotsSent = (): Record<string, number> =>
  Object.fromEntries((sent.at(-1) ?? []).map(({ id, slots }) => [id, slots]));

beforeEach(() => {
  clock = new FakeClock();
  directory = new FakeDirectory([warm('a'), warm('b')]);
  log = new MemoryLog();
  sent = [];
  refusals = 0;
  alive = true;
  loop = new SlotsLoop({
    pool: POOL,
    directory,
    ledger: {
      forgetEndpoints: () => undefined,
      setEndpoints: (endpoints) => {
        if (refusals > 0) {
          refusals -= 1;
          return Promise.reject(new Error('Redis is away'));
        }
        sent.push(endpoints);
        return Promise.resolve();
      },
    },
    modelServer: { probe: () => Promise.resolve(alive) },
    clock,
    log,
    metrics: dispatcherMetrics(new Registry()),
  });
});

afterEach(async () => {
  loop.close();
  await settleMicrotasks();
  expect(clock.sleeping).toBe(0);
  expect(directory.listeners).toBe(0);
});

test('the ledger is told the endpoints at start', async () => {
  await settleMicrotasks();
  expect(sent).toEqual([
    [
      { id: 'a', slots: 8, adapters: null },
      { id: 'b', slots: 8, adapters: null },
    ],
  ]);
});

test('a pool without endpoints is told too: what the ledger still has is closed', async () => {
  directory.set([]);
  await settleMicrotasks();
  expect(sent).toEqual([[]]);
});

test('changes of one turn are one update, and no change is none', async () => {
  await settleMicrotasks();
  directory.set([warm('a', 4), warm('b')]);
  directory.set([warm('a', 4), warm('b', 6)]);
  loop.report('a', 'ok');
  await settleMicrotasks();
  expect(sent).toHaveLength(2);
  expect(slotsSent()).toEqual({ a: 4, b: 6 });
  directory.set([warm('a', 4), warm('b', 6)]);
  await clock.advance(5_000);
  expect(sent).toHaveLength(2);
});

test('a draining endpoint stays listed without slots, and gets them back when it is undrained', async () => {
  directory.set([warm('a', 8, true), warm('b')]);
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 0, b: 8 });
  directory.set([warm('a'), warm('b')]);
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 8, b: 8 });
});

test('a fresh endpoint opens slowly, by time when nothing is sent there', async () => {
  directory.set([warm('a'), endpoint('new', { readyAtEpochMs: clock.epochMs(), slotsPerEndpoint: 16 })]);
  await settleMicrotasks();
  expect(slotsSent()['new']).toBe(4);
  await clock.advance(10_500);
  expect(slotsSent()['new']).toBe(8);
});

test('an endpoint that refuses connections is closed within the turn and reopened after a probe', async () => {
  await settleMicrotasks();
  alive = false;
  loop.report('a', 'unreachable');
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 0, b: 8 });
  expect(log.lines).toMatchObject([{ level: 'warn', event: 'endpoint.quarantined', fields: { endpoint: 'a' } }]);
  await clock.advance(2_000);
  expect(slotsSent()).toEqual({ a: 0, b: 8 });
  alive = true;
  await clock.advance(3_000);
  expect(slotsSent()).toEqual({ a: 2, b: 8 });
});

test('what the caller or we did is not held against the endpoint', async () => {
  await settleMicrotasks();
  for (let times = 0; times < 5; times += 1) {
    loop.report('a', 'too_large');
    loop.report('a', 'overall_timeout');
    loop.report('a', 'endpoint_gone');
  }
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 8, b: 8 });
});

test('no scrape, no harm: without any metrics the slots stay open', async () => {
  directory.set([warm('a', 'Auto')]);
  await clock.advance(600_000);
  expect(slotsSent()).toEqual({ a: 8 });
});

test('a learned limit follows the engine', async () => {
  directory.set([warm('a', 'Auto')]);
  const metrics = { runningRequests: 8, waitingRequests: 0, runningAdapters: [], waitingAdapters: [] };
  loop.observe({ endpointId: 'a', metrics });
  loop.observe({ endpointId: 'unknown', metrics });
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 10 });
});

test('a new replica begins with what the others of its target have learned, in slow start', async () => {
  directory.set([warm('a', 'Auto'), warm('b', 'Auto')]);
  const metrics = { waitingRequests: 0, runningAdapters: [], waitingAdapters: [] };
  for (const runningRequests of [8, 10, 12, 14])
    for (const endpointId of ['a', 'b']) loop.observe({ endpointId, metrics: { ...metrics, runningRequests } });
  const fresh = endpoint('new', { readyAtEpochMs: clock.epochMs(), slotsPerEndpoint: 'Auto' });
  directory.set([warm('a', 'Auto'), warm('b', 'Auto'), fresh, { ...fresh, id: 'other', target: 'cpu' }]);
  await settleMicrotasks();
  expect(slotsSent()).toEqual({ a: 16, b: 16, new: 4, other: 2 });
});

describe('a gateway that starts again', () => {
  const start = (snapshot: () => Promise<LedgerSnapshot>) => {
    const told: (readonly EndpointSlots[])[] = [];
    const second = new SlotsLoop({
      pool: POOL,
      directory,
      ledger: {
        snapshot,
        forgetEndpoints: () => undefined,
        setEndpoints: (endpoints) => {
          told.push(endpoints);
          return Promise.resolve();
        },
      },
      modelServer: { probe: () => Promise.resolve(alive) },
      clock,
      log,
      metrics: dispatcherMetrics(new Registry()),
    });
    return { told, second };
  };
  const was = (endpoints: readonly EndpointUse[]): LedgerSnapshot => {
    return { nowEpochMs: 0, incarnation: 'i', activityEpoch: 0, objectives: [], owners: 1, endpoints };
  };
  const use = (id: string, slots: number): EndpointUse => ({ id, slots, used: 0, quarantined: 0, gate: 'open' });

  test('takes up what was learned, before it says anything', async () => {
    directory.set([warm('a', 'Auto')]);
    const { told, second } = start(() => Promise.resolve(was([use('a', 48), use('late', 40)])));
    await settleMicrotasks();
    expect(told).toEqual([[{ id: 'a', slots: 48, adapters: null }]]);
    directory.set([warm('a', 'Auto'), warm('late', 'Auto')]);
    await settleMicrotasks();
    expect(told.at(-1)?.map(({ slots }) => slots)).toEqual([48, 48]);
    second.close();
  });

  test.each([
    { name: 'does not answer', snapshot: () => new Promise<LedgerSnapshot>(() => undefined) },
    { name: 'is away', snapshot: () => Promise.reject(new Error('Redis is away')) },
  ])('does not wait long for a ledger that $name', async ({ snapshot }) => {
    directory.set([warm('a', 'Auto')]);
    const { told, second } = start(snapshot);
    await clock.advance(1_100);
    expect(told.at(-1)).toEqual([{ id: 'a', slots: 8, adapters: null }]);
    second.close();
  });
});

test('an update that failed is sent again, with what is wanted by then', async () => {
  refusals = 2;
  await settleMicrotasks();
  directory.set([warm('a')]);
  await clock.advance(250);
  await clock.advance(500);
  expect(sent).toEqual([[{ id: 'a', slots: 8, adapters: null }]]);
  expect(log.lines.map(({ event }) => event)).toEqual(['slots.publish_failed', 'slots.publish_failed']);
});

test('after the ledger lost its state everything is sent again', async () => {
  await settleMicrotasks();
  loop.resend();
  await settleMicrotasks();
  expect(sent).toHaveLength(2);
  expect(sent[1]).toEqual(sent[0]);
});

test('a gateway without the right to publish says nothing, and says everything once it has it', async () => {
  const right = new FakeRight();
  let forgotten = 0;
  const told: (readonly EndpointSlots[])[] = [];
  const second = new SlotsLoop({
    pool: POOL,
    directory,
    ledger: {
      forgetEndpoints: () => {
        forgotten += 1;
      },
      setEndpoints: (endpoints) => {
        told.push(endpoints);
        return Promise.resolve();
      },
    },
    right,
    modelServer: { probe: () => Promise.resolve(alive) },
    clock,
    log,
    metrics: dispatcherMetrics(new Registry()),
  });
  await settleMicrotasks();
  expect(told).toEqual([]);
  right.set(true);
  await settleMicrotasks();
  expect(told.at(-1)?.map(({ id }) => id)).toEqual(['a', 'b']);
  right.set(false);
  directory.set([warm('a')]);
  await settleMicrotasks();
  expect(told).toHaveLength(1);
  expect(forgotten).toBe(1);
  second.close();
});

class FakeRight implements PublishRight {
  #held = false;
  readonly #listeners = new Set<() => void>();

  isHeld(): boolean {
    return this.#held;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(held: boolean): void {
    this.#held = held;
    for (const listener of this.#listeners) listener();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
