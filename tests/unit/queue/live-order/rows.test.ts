import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BulkDemand } from '../../../../src/core/live-order.ts';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../../src/queue/live-order/pool-live-order.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { FlakyLedger } from '../../../support/flaky-ledger.ts';
import {
  COMPLETED,
  endpoint,
  enterOptions,
  leaseOf,
  ROOMY_LIMITS,
  ticketSpec,
} from '../../../support/live-order-builders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

let clock: FakeClock;
let ledger: MemoryLedgerStore;
let link: FlakyLedger;
let order: PoolLiveOrder;

beforeEach(() => {
  clock = new FakeClock();
  ledger = new MemoryLedgerStore(() => clock.epochMs() * 1_000);
  link = new FlakyLedger(ledger);
  order = new PoolLiveOrder({ store: link, pool: 'ns/p', owner: 'a', clock, log: silentLogger });
});
afterEach(async () => {
  const closed = order.close();
  await clock.advance(5_000);
  await closed;
});

const row = (id: string) => ticketSpec(id, { kind: 'row', objective: 'nightly' });
const bulk = (change: Partial<BulkDemand> = {}): BulkDemand => ({
  ...{ id: 'batch_1.0', objective: 'nightly', priority: -10, requests: 500, bytes: 9, costTokens: 90 },
  ...{ deadlineEpochMs: null, acceptedAtEpochMs: clock.epochMs(), ...change },
});
const job = (id: string, announced: boolean) => ({
  ...{ id, objective: 'nightly', priority: -10, fairnessId: 'tenant', bytes: 50, costTokens: 5, limits: ROOMY_LIMITS },
  ...{ deadlineEpochMs: null, announced },
});

test('a row that was settled is over: nothing is kept of it, and its id can be entered again', async () => {
  await order.setEndpoints([endpoint('ep-1', 1)]);
  const lease = leaseOf(await order.enter(row('r1'), enterOptions()));
  lease.release();
  expect(await order.enter(row('r1'), enterOptions())).toEqual({ kind: 'live', owner: 'a' });
  expect(await lease.settle(COMPLETED, 'segment-1:0')).toEqual({ kind: 'settled' });
  expect(await lease.settle(COMPLETED, 'segment-1:0')).toEqual({ kind: 'settled' });
  expect(await order.outcomes(['r1'])).toEqual([null]);
  expect(ledger.state.tickets.size).toBe(0);
  expect(leaseOf(await order.enter(row('r1'), enterOptions())).attempt).toBe(1);
});

test('a row that waits when the process ends is handed back', async () => {
  const entry = order.enter(row('r1'), enterOptions());
  await clock.advance(10);
  await order.close();
  expect(await entry).toEqual({ kind: 'evicted', reason: 'handed_back' });
});

test('a row that runs is re-asserted to a ledger that lost everything, and its slot with it', async () => {
  await order.setEndpoints([endpoint('ep-1', 1)]);
  const lease = leaseOf(await order.enter(row('r1'), enterOptions()));
  ledger.restart();
  link.connection = 'down';
  await clock.advance(100);
  link.connection = 'up';
  await clock.advance(3_000);
  expect(lease.lost.aborted).toBe(false);
  expect([...(ledger.state.used.get('ep-1') ?? [])]).toEqual(['r1']);
});

test('work in bulk is told to the ledger with its deadline, and wakes a pool that sleeps', async () => {
  let wakes = 0;
  order.onDemand(() => (wakes += 1));
  await order.setBulk(bulk({ deadlineEpochMs: clock.epochMs() + 60_000 }));
  expect(wakes).toBe(1);
  expect((await order.snapshot()).objectives).toMatchObject([
    { objective: 'nightly', stored: 500, deadlines: [{ deadlineEpochMs: clock.epochMs() + 60_000, requests: 500 }] },
  ]);
  await order.setBulk(bulk({ requests: 0 }));
  expect((await order.snapshot()).objectives).toMatchObject([{ stored: 0, deadlines: [] }]);
});

test('the outbox holds announced jobs from their outcome to the acknowledgement, whoever settled them', async () => {
  await order.setEndpoints([endpoint('ep-1', 3)]);
  await order.confirm(job('by-confirm', true));
  await order.settle('by-confirm', 'nightly', COMPLETED, 'ref');
  await order.settle('by-settle', 'nightly', COMPLETED, 'ref', { announced: true });
  await order.settle('quiet', 'nightly', COMPLETED, 'ref');
  const ticket = ticketSpec('by-lease', { kind: 'stored', objective: 'nightly', announced: true });
  await leaseOf(await order.enter(ticket, enterOptions())).settle(COMPLETED, 'ref');
  expect((await order.outbox(10)).map(({ id }) => id).sort()).toEqual(['by-confirm', 'by-lease', 'by-settle']);
  await order.ackOutbox(['by-confirm', 'by-lease', 'by-settle']);
  await order.ackOutbox([]);
  await settleMicrotasks();
  expect(await order.outbox(10)).toEqual([]);
});
