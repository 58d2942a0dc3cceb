import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../../src/queue/live-order/pool-live-order.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { endpoint, enterOptions, ticketSpec } from '../../../support/live-order-builders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

let clock: FakeClock;
let ledger: MemoryLedgerStore;
let order: PoolLiveOrder;

beforeEach(() => {
  clock = new FakeClock();
  ledger = new MemoryLedgerStore(() => clock.epochMs() * 1_000);
  order = new PoolLiveOrder({ store: ledger, pool: 'ns/p', owner: 'a', clock, log: silentLogger });
});
afterEach(async () => {
  const closed = order.close();
  await clock.advance(5_000);
  await closed;
});

const expiryOf = async (id: string) => (await order.find(id))?.expiresAtEpochMs;

test('an operator sees what waits and why, pauses an objective and resumes it', async () => {
  await order.setEndpoints([endpoint('ep-1', 1)]);
  await order.setPaused('interactive', true);
  const entry = order.enter(ticketSpec('t1'), enterOptions());
  await clock.advance(10);
  const waiting = { id: 't1', state: 'waiting', reason: 'paused', endpointId: null, expiresAtEpochMs: null };
  expect(await order.list({ objective: null, fairnessId: null, limit: 10 })).toMatchObject([waiting]);
  expect(await order.pausedObjectives()).toEqual(['interactive']);
  await order.setPaused('interactive', false);
  expect(await entry).toMatchObject({ kind: 'run' });
  expect(await order.find('t1')).toMatchObject({ state: 'running', position: null, reason: null, endpointId: 'ep-1' });
  expect(await order.find('nobody')).toBeNull();
});

test('a TTL that stands still goes on where it was after a loss of everything', async () => {
  await order.setEndpoints([]);
  const spec = ticketSpec('t1', { expiresAtEpochMs: clock.epochMs() + 10_000, expiryStopsWithoutCapacity: true });
  const entry = order.enter(spec, enterOptions());
  await clock.advance(60_000);
  expect(await expiryOf('t1')).toBe(clock.epochMs() + 10_000);
  ledger.restart();
  await clock.advance(10_000);
  const leftMs = (await expiryOf('t1'))! - clock.epochMs();
  // What the ledger did not tell before it was lost, and what passed until it was known again.
  expect(leftMs).toBeGreaterThan(10_000 - 3_000);
  expect(leftMs).toBeLessThanOrEqual(10_000);
  await order.setEndpoints([endpoint('ep-1', 1, [])]);
  await order.setGate('ep-1', 'open');
  expect(await entry).toMatchObject({ kind: 'run' });
});
