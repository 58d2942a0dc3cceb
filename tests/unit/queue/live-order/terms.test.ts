import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ObjectiveRules, TicketSpec } from '../../../../src/core/live-order.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../../src/queue/live-order/pool-live-order.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../../../support/live-order-builders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

/** What a process tells the ledger of tenants and rules. */

let clock: FakeClock;
let ledger: MemoryLedgerStore;
let order: PoolLiveOrder;

beforeEach(async () => {
  clock = new FakeClock();
  ledger = new MemoryLedgerStore(() => clock.epochMs() * 1_000);
  order = new PoolLiveOrder({ store: ledger, pool: 'ns/p', owner: 'a', clock, log: silentLogger });
  await order.setEndpoints([endpoint('ep-1', 1)]);
});
afterEach(async () => {
  const closed = order.close();
  await clock.advance(5_000);
  await closed;
});

const RULES: readonly ObjectiveRules[] = [
  {
    ...{ objective: 'interactive', priority: 100, guaranteedSharePercent: 0, agingMs: null },
    ...{ reservedSlotsPercent: 20, reservedLapseMs: 1_000, paused: false },
  },
];

test('a ticket brings its tenant, weight, limit and deadline into the order, and again after the ledger was lost', async () => {
  const deadlineEpochMs = clock.epochMs() + 60_000;
  const terms = { fairnessId: 'acme', weight: 3, maxConcurrency: 2, deadlineEpochMs };
  leaseOf(await order.enter(ticketSpec('runs', terms), enterOptions()));
  void order.enter(ticketSpec('waits', terms), enterOptions());
  await settleMicrotasks();
  const expected = { fairnessId: 'acme', weight: 3, maxConcurrency: 2, deadlineMs: deadlineEpochMs };
  for (const id of ['runs', 'waits']) expect(ledger.state.tickets.get(id)).toMatchObject(expected);
  ledger.restart();
  await clock.advance(5_000);
  for (const id of ['runs', 'waits']) expect(ledger.state.tickets.get(id)).toMatchObject(expected);
  expect(ledger.state.tenantSlots.get('acme')).toBe(1);
});

test('rules are set again in a ledger that was lost', async () => {
  await order.setRules(RULES);
  expect(ledger.state.rules.get('interactive')).toMatchObject({ reservedSlotsPercent: 20, agingMs: 0 });
  ledger.restart();
  expect(ledger.state.rules.size).toBe(0);
  await clock.advance(5_000);
  expect(ledger.state.rules.get('interactive')).toMatchObject({ reservedSlotsPercent: 20, agingMs: 0 });
});

const used: Outcome = { ...COMPLETED, usage: { promptTokens: 30, completionTokens: 12 } };
const enter = async (id: string, change: Partial<TicketSpec> = {}) =>
  leaseOf(await order.enter(ticketSpec(id, change), enterOptions()));
const ends: Record<string, (id: string) => Promise<unknown>> = {
  'a call that settles': async (id) => (await enter(id)).settle(used),
  'a stream that settles, whose usage nobody told': async (id) =>
    (await enter(id)).settle({ ...COMPLETED, seenTokens: 42 }),
  'a job that settles': async (id) => (await enter(id, { kind: 'stored' })).settle(used),
  'a slot that is released with what was used': async (id) => {
    (await enter(id)).release(42);
  },
};

test.each(Object.entries(ends))(
  '%s charges its tenant what the engine used instead of the estimate',
  async (_name, end) => {
    const first = leaseOf(await order.enter(ticketSpec('first'), enterOptions()));
    const ended = end('second');
    await settleMicrotasks();
    await first.settle(COMPLETED);
    await ended;
    await settleMicrotasks();
    expect(ledger.state.bands.get(100)?.flows.get('tenant')).toBe(42_000);
  },
);
