import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Entry, TicketSpec } from '../../../../src/core/live-order.ts';
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
let orders: PoolLiveOrder[];

beforeEach(() => {
  clock = new FakeClock();
  ledger = new MemoryLedgerStore(() => clock.epochMs() * 1_000);
  orders = [];
});
afterEach(async () => {
  for (const order of orders) {
    const closed = order.close();
    await clock.advance(5_000);
    await closed;
  }
});

function open(owner: string, executes = true): { order: PoolLiveOrder; link: FlakyLedger } {
  const link = new FlakyLedger(ledger);
  const order = new PoolLiveOrder({ store: link, pool: 'ns/p', owner, clock, log: silentLogger, executes });
  orders.push(order);
  return { order, link };
}

/** An entry whose end can be looked at without waiting. */
function watch(entry: Promise<Entry>) {
  const seen: { entry: Entry | null; error: Error | null } = { entry: null, error: null };
  entry.then(
    (ended) => (seen.entry = ended),
    (error: unknown) => (seen.error = error as Error),
  );
  return seen;
}

/** Lets answers travel. */
async function pass(times = 4): Promise<void> {
  for (let turn = 0; turn < times; turn += 1) await settleMicrotasks();
}

const used = () => ledger.state.endpoints.map((each) => ledger.state.used.get(each.id)?.size ?? 0);
const stored = (id: string, change: Partial<TicketSpec> = {}) =>
  ticketSpec(id, { kind: 'stored', objective: 'nightly', ...change });
const storedTicket = (id: string) => ({
  id,
  objective: 'nightly',
  priority: -10,
  fairnessId: 'tenant',
  bytes: 50,
  costTokens: 5,
  limits: ROOMY_LIMITS,
  deadlineEpochMs: null,
});

describe('a call', () => {
  test('runs at once on the best ranked free endpoint', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1), endpoint('ep-2', 1)]);
    const lease = leaseOf(await order.enter(ticketSpec('t'), enterOptions({ rank: () => ['ep-2', 'ep-1'] })));
    expect(lease).toMatchObject({ endpointId: 'ep-2', attempt: 1, waitedMs: 0 });
  });

  test('waits for a slot, hears its place, and runs when one is freed', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const first = leaseOf(await order.enter(ticketSpec('t1'), enterOptions()));
    const places: number[] = [];
    const second = watch(order.enter(ticketSpec('t2'), enterOptions({ onWaiting: (place) => places.push(place) })));
    await clock.advance(40);
    expect(second.entry).toBeNull();
    expect(places).toEqual([0]);
    void first.settle(COMPLETED);
    await pass();
    expect(leaseOf(second.entry!)).toMatchObject({ endpointId: 'ep-1', waitedMs: 40 });
  });

  test('runs with the very turn that frees the only slot, without being asked', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const first = leaseOf(await order.enter(ticketSpec('t1'), enterOptions()));
    const second = watch(order.enter(ticketSpec('t2'), enterOptions()));
    await pass();
    void first.settle(COMPLETED);
    await pass();
    const lease = leaseOf(second.entry!);
    expect(lease).toMatchObject({ endpointId: 'ep-1', attempt: 1 });
    expect(link.executed.map(({ op }) => op)).not.toContain('take');
    void lease.settle(COMPLETED);
    await pass();
    expect(ledger.state.tickets.size).toBe(0);
  });

  test('that leaves while its slot is on the way gives it back', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const first = leaseOf(await order.enter(ticketSpec('t1'), enterOptions()));
    const leaving = new AbortController();
    const second = watch(order.enter(ticketSpec('t2'), enterOptions({ signal: leaving.signal })));
    await pass();
    link.connection = 'silent';
    void first.settle(COMPLETED);
    await pass();
    leaving.abort();
    link.deliver();
    await pass();
    expect(second.entry).toEqual({ kind: 'evicted', reason: 'withdrawn' });
    expect(ledger.state.tickets.size).toBe(0);
    expect(used()).toEqual([0]);
  });

  test('hears its new place with a heartbeat', async () => {
    const { order } = open('a');
    const places: number[] = [];
    const first = new AbortController();
    void order.enter(ticketSpec('t1'), enterOptions({ signal: first.signal }));
    void order.enter(ticketSpec('t2'), enterOptions({ onWaiting: (place) => places.push(place) }));
    await pass();
    first.abort();
    await clock.advance(1_100);
    expect(places).toEqual([1, 0]);
  });

  test('leaves the order at once when its signal aborts', async () => {
    const { order } = open('a');
    const leaving = new AbortController();
    const entry = watch(order.enter(ticketSpec('t'), enterOptions({ signal: leaving.signal })));
    await pass();
    expect(ledger.state.tickets.size).toBe(1);
    leaving.abort();
    await pass();
    expect(entry.entry).toEqual({ kind: 'evicted', reason: 'withdrawn' });
    expect(ledger.state.tickets.size).toBe(0);
  });

  test('that aborts while its admission is on its way holds no slot afterwards', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    link.connection = 'silent';
    const leaving = new AbortController();
    const entry = watch(order.enter(ticketSpec('t'), enterOptions({ signal: leaving.signal })));
    await pass();
    leaving.abort();
    link.deliver();
    await pass();
    expect(entry.entry).toEqual({ kind: 'evicted', reason: 'withdrawn' });
    expect(used()).toEqual([0]);
  });

  test('is evicted when it expires', async () => {
    const { order } = open('a');
    const entry = watch(order.enter(ticketSpec('t', { expiresAtEpochMs: clock.epochMs() + 500 }), enterOptions()));
    await clock.advance(1_000);
    expect(entry.entry).toEqual({ kind: 'evicted', reason: 'expired' });
  });

  test('whose clock can stop is evicted at its deadline, also while the pool has no slot', async () => {
    const { order } = open('a');
    const atMs = clock.epochMs();
    const change = { expiresAtEpochMs: atMs + 500, expiryStopsWithoutCapacity: true, deadlineEpochMs: atMs + 2_000 };
    const entry = watch(order.enter(ticketSpec('t', change), enterOptions()));
    await clock.advance(1_999);
    expect(entry.entry).toBe(null);
    await clock.advance(500);
    expect(entry.entry).toEqual({ kind: 'evicted', reason: 'expired' });
    expect((await order.find('t')) ?? null).toBe(null);
  });

  test('is evicted when it expires, also while the ledger cannot be reached', async () => {
    const { order, link } = open('a');
    const entry = watch(order.enter(ticketSpec('t', { expiresAtEpochMs: clock.epochMs() + 500 }), enterOptions()));
    await pass();
    link.connection = 'silent';
    await clock.advance(1_000);
    expect(entry.entry).toEqual({ kind: 'evicted', reason: 'expired' });
  });

  test('is refused with the limit that it met', async () => {
    const { order } = open('a');
    const limits = { ...ROOMY_LIMITS, objectiveMaxRequests: 1 };
    void order.enter(ticketSpec('t1', { limits }), enterOptions());
    const entry = await order.enter(ticketSpec('t2', { limits }), enterOptions());
    expect(entry).toMatchObject({ kind: 'rejected', reason: 'queue_full', limit: 'objectiveMaxRequests' });
  });

  test('of an id that is live already is told who owns it', async () => {
    const [a, b] = [open('a').order, open('b').order];
    void a.enter(ticketSpec('t'), enterOptions());
    await pass();
    expect(await b.enter(ticketSpec('t'), enterOptions())).toEqual({ kind: 'live', owner: 'a' });
    expect(await a.enter(ticketSpec('t'), enterOptions())).toEqual({ kind: 'live', owner: 'a' });
  });

  test('waits with an offer for an endpoint that it does not know yet, and takes it when it does', async () => {
    const { order } = open('a');
    let ranking: string[] = [];
    const entry = watch(order.enter(ticketSpec('t'), enterOptions({ rank: () => ranking })));
    await pass();
    await order.setEndpoints([endpoint('ep-1', 1)]);
    await clock.advance(100);
    expect(entry.entry).toBeNull();
    ranking = ['ep-1'];
    await clock.advance(30);
    expect(leaseOf(entry.entry!).endpointId).toBe('ep-1');
  });
});

describe('a lease', () => {
  test('requeued after a failure waits at its old place and runs on another endpoint', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1), endpoint('ep-2', 1)]);
    const lease = leaseOf(await order.enter(ticketSpec('t'), enterOptions()));
    const again = leaseOf(await lease.requeue('ep-1'));
    expect(again).toMatchObject({ endpointId: 'ep-2', attempt: 2 });
    lease.release();
    await pass();
    expect(used()).toEqual([0, 1]);
  });

  test('released and settled is out of the ledger; both may be repeated', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const lease = leaseOf(await order.enter(ticketSpec('t'), enterOptions()));
    lease.release();
    lease.release();
    await pass();
    expect(used()).toEqual([0]);
    expect(await lease.settle(COMPLETED)).toEqual({ kind: 'settled' });
    expect(await lease.settle(COMPLETED)).toEqual({ kind: 'settled' });
    await pass();
    expect(ledger.state.tickets.size).toBe(0);
    expect((await order.snapshot()).objectives[0]).toMatchObject({ releasedTotal: 1, settledTotal: 1 });
  });

  test('of stored work writes the first outcome; a later claim of the id is done', async () => {
    const { order } = open('a');
    await order.confirm(storedTicket('job'));
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const lease = leaseOf(await order.enter(stored('job'), enterOptions()));
    lease.release();
    expect(await lease.settle(COMPLETED, 'record-1')).toEqual({ kind: 'settled' });
    expect(await order.enter(stored('job'), enterOptions())).toEqual({ kind: 'done', outcome: COMPLETED });
    expect(await order.outcomes(['job', 'other'])).toMatchObject([{ outcome: COMPLETED, recordRef: 'record-1' }, null]);
    expect((await order.snapshot()).objectives[0]).toMatchObject({ stored: 0, bytes: 0, costTokens: 0 });
  });

  test('settled after a cancel hears of the outcome that was first', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const lease = leaseOf(await order.enter(stored('job'), enterOptions()));
    const cancelled = { ...COMPLETED, kind: 'cancelled' as const };
    expect(await order.settle('job', 'nightly', cancelled, null)).toEqual({ kind: 'settled' });
    await pass();
    expect(lease.lost.aborted).toBe(true);
    expect(used()).toEqual([0]);
    expect(await lease.settle(COMPLETED, 'ref')).toEqual({ kind: 'already', outcome: cancelled });
  });

  test('released after its signal aborted ends the ticket, so that the work can be claimed again', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const draining = new AbortController();
    const lease = leaseOf(await order.enter(stored('job'), enterOptions({ signal: draining.signal })));
    draining.abort();
    lease.release();
    await pass();
    expect(ledger.state.tickets.size).toBe(0);
    expect(leaseOf(await order.enter(stored('job'), enterOptions())).attempt).toBe(1);
  });
});

describe('when Redis is away', () => {
  test('entering fails within two seconds', async () => {
    const { order, link } = open('a');
    await pass();
    link.connection = 'down';
    const entry = watch(order.enter(ticketSpec('t'), enterOptions()));
    await clock.advance(1_700);
    expect(entry.error).toBeNull();
    await clock.advance(600);
    expect(entry.error).toMatchObject({ code: 'queue_unavailable' });
  });

  test('a call that was waiting keeps its place, and one that runs goes on', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const running = leaseOf(await order.enter(ticketSpec('t1'), enterOptions()));
    const waiting = watch(order.enter(ticketSpec('t2'), enterOptions()));
    await pass();
    link.connection = 'down';
    await clock.advance(2_000);
    expect(running.lost.aborted).toBe(false);
    running.release();
    void running.settle(COMPLETED);
    link.connection = 'up';
    await clock.advance(2_000);
    expect(leaseOf(waiting.entry!).endpointId).toBe('ep-1');
    expect(used()).toEqual([1]);
  });

  test('an admission whose answer was lost is repeated and leaks no slot', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    link.connection = 'lostAnswer';
    const entry = watch(order.enter(ticketSpec('t'), enterOptions()));
    await pass();
    expect(used()).toEqual([1]);
    link.connection = 'up';
    await clock.advance(500);
    const lease = leaseOf(entry.entry!);
    void lease.settle(COMPLETED);
    await pass();
    expect(used()).toEqual([0]);
  });

  test('an admission that was given up and lands later holds no slot', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    link.connection = 'silent';
    const entry = watch(order.enter(ticketSpec('t'), enterOptions()));
    await clock.advance(2_300);
    expect(entry.error).toMatchObject({ code: 'queue_unavailable' });
    link.deliver();
    await clock.advance(300);
    expect(link.executed.some((op) => op.op === 'admit')).toBe(true);
    expect(used()).toEqual([0]);
  });

  test('a settled outcome whose answer was lost is our own when it is repeated', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1)]);
    const lease = leaseOf(await order.enter(stored('job'), enterOptions()));
    link.connection = 'lostAnswer';
    const settled = lease.settle(COMPLETED, 'ref');
    await pass();
    link.connection = 'up';
    await clock.advance(500);
    expect(await settled).toEqual({ kind: 'settled' });
  });
});

describe('a ledger that lost its state', () => {
  test('a process that only sets gates remembers none of endpoints that are gone', async () => {
    const { order: gateway } = open('gateway');
    const { order: controller, link } = open('controller', false);
    await clock.advance(3_000);
    for (const id of ['ep-1', 'ep-2', 'ep-3']) {
      await gateway.setEndpoints([endpoint(id, 1)]);
      await controller.setGate(id, 'draining');
      await controller.snapshot();
    }
    link.executed.length = 0;
    ledger.restart();
    await clock.advance(5_000);
    await pass();
    const gates = link.executed.flatMap((op) => (op.op === 'setGate' ? [op.endpointId] : []));
    expect(gates).toEqual(['ep-3']);
  });

  test('is told everything again: tickets at their old places, running ones first, endpoints and gates', async () => {
    const { order } = open('a');
    await order.setEndpoints([endpoint('ep-1', 1), endpoint('ep-2', 1)]);
    await order.setGate('ep-2', 'draining');
    const running = leaseOf(await order.enter(ticketSpec('t1'), enterOptions()));
    const waiting = watch(order.enter(ticketSpec('t2'), enterOptions()));
    const seen: string[] = [];
    order.onIncarnation((incarnation) => seen.push(incarnation));
    await clock.advance(10);
    ledger.restart();
    await clock.advance(1_500);
    expect(seen).toHaveLength(1);
    expect(await order.snapshot()).toMatchObject({
      recovering: true,
      endpoints: [
        { id: 'ep-1', used: 1, gate: 'open' },
        { id: 'ep-2', used: 0, gate: 'draining' },
      ],
      objectives: [{ waitingHeld: 1, running: 1 }],
    });
    await clock.advance(2_500);
    expect(running.lost.aborted).toBe(false);
    void running.settle(COMPLETED);
    await pass();
    expect(leaseOf(waiting.entry!).endpointId).toBe('ep-1');
    expect(used()).toEqual([1, 0]);
  });
});

describe('owners', () => {
  test('a slot freed by one is offered to the other', async () => {
    const [a, b] = [open('a').order, open('b').order];
    await a.setEndpoints([endpoint('ep-1', 1)]);
    const lease = leaseOf(await a.enter(ticketSpec('t1'), enterOptions()));
    const waiting = watch(b.enter(ticketSpec('t2'), enterOptions()));
    await pass();
    void lease.settle(COMPLETED);
    await pass();
    expect(leaseOf(waiting.entry!).endpointId).toBe('ep-1');
  });

  test('a process that stood still stops what it runs before anything else; what waits keeps its place', async () => {
    const { order, link } = open('a');
    await order.setEndpoints([endpoint('ep-1', 2)]);
    const running = leaseOf(await order.enter(ticketSpec('t1'), enterOptions({ rank: () => ['ep-1'] })));
    const full = leaseOf(await order.enter(ticketSpec('t2'), enterOptions()));
    const waiting = watch(order.enter(ticketSpec('t3'), enterOptions()));
    await pass();
    const before = link.executed.length;
    clock.freeze(4_000);
    await clock.advance(250);
    expect([running.lost.aborted, full.lost.aborted]).toEqual([true, true]);
    expect(link.executed[before]?.op).toBe('open');
    await clock.advance(1_000);
    expect(leaseOf(waiting.entry!).endpointId).toBe('ep-1');
    expect(used()).toEqual([1]);
  });

  test('the dead are reaped: their slots stay out of use until scrapes show that nothing runs there', async () => {
    const { order: a } = open('a');
    const { order: b, link } = open('b');
    await a.setEndpoints([endpoint('ep-1', 1)]);
    await b.enter(ticketSpec('t1'), enterOptions());
    const waiting = watch(a.enter(ticketSpec('t2'), enterOptions()));
    await pass();
    link.connection = 'down';
    await clock.advance(4_500);
    expect((await a.snapshot()).endpoints[0]).toMatchObject({ used: 1, quarantined: 1 });
    expect(waiting.entry).toBeNull();
    a.observe('ep-1', 0, clock.epochMs() - 100);
    a.observe('ep-1', 0, clock.epochMs());
    await pass();
    expect(leaseOf(waiting.entry!).endpointId).toBe('ep-1');
  });

  test('a window follows the slots that are or soon will be open, shared among those that execute', async () => {
    const { order: a } = open('a');
    const { order: b } = open('b');
    const { order: looker } = open('controller', false);
    let changes = 0;
    a.onWindows(() => (changes += 1));
    await a.confirm(storedTicket('job'));
    await pass();
    expect(a.windows().size).toBe(0);
    await looker.setSoonSlots(3);
    await pass();
    expect([...a.windows(), ...b.windows(), ...looker.windows()]).toEqual([
      ['nightly', 3],
      ['nightly', 3],
    ]);
    expect(changes).toBe(1);
  });

  test('demand on a pool without open slots is heard here and elsewhere', async () => {
    const { order: a } = open('a');
    const { order: b } = open('controller', false);
    const heard: string[] = [];
    a.onDemand(() => heard.push('a'));
    b.onDemand(() => heard.push('controller'));
    await pass();
    void a.enter(ticketSpec('t'), enterOptions());
    await pass();
    expect(heard.sort()).toEqual(['a', 'controller']);
  });

  test('closing sends waiting callers away and leaves the ledger', async () => {
    const { order } = open('a');
    const held = watch(order.enter(ticketSpec('t1'), enterOptions()));
    const job = watch(order.enter(stored('t2'), enterOptions()));
    await pass();
    await order.close();
    expect(held.entry).toEqual({ kind: 'evicted', reason: 'withdrawn' });
    expect(job.entry).toEqual({ kind: 'evicted', reason: 'handed_back' });
    expect(ledger.state.owners.size).toBe(0);
    await expect(order.snapshot()).rejects.toMatchObject({ code: 'queue_unavailable' });
    await expect(order.enter(ticketSpec('t3'), enterOptions())).rejects.toMatchObject({ code: 'draining' });
  });
});
