import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Lease, TicketKind } from '../../../../src/core/live-order.ts';
import type { Logger } from '../../../../src/core/logger.ts';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../../src/queue/live-order/pool-live-order.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { FlakyLedger } from '../../../support/flaky-ledger.ts';
import { COMPLETED, endpoint, enterOptions, ticketSpec } from '../../../support/live-order-builders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

const OWNERS = ['a', 'b'];
const KINDS: readonly TicketKind[] = ['stored', 'held', 'row', 'held'];
const step = fc.record({
  what: fc.oneof(
    { weight: 30, arbitrary: fc.constant('enter' as const) },
    { weight: 15, arbitrary: fc.constant('settle' as const) },
    { weight: 5, arbitrary: fc.constant('release' as const) },
    { weight: 6, arbitrary: fc.constant('requeue' as const) },
    { weight: 8, arbitrary: fc.constant('abort' as const) },
    { weight: 10, arbitrary: fc.constant('connection' as const) },
    { weight: 3, arbitrary: fc.constant('cancel' as const) },
    { weight: 2, arbitrary: fc.constant('restart' as const) },
    { weight: 2, arbitrary: fc.constant('freeze' as const) },
  ),
  owner: fc.nat(1),
  pick: fc.nat(30),
  afterMs: fc.oneof(
    { weight: 6, arbitrary: fc.nat(10) },
    { weight: 2, arbitrary: fc.nat(400) },
    { weight: 1, arbitrary: fc.nat(4_000) },
  ),
  connection: fc.constantFrom('up' as const, 'up' as const, 'down' as const, 'lostAnswer' as const, 'silent' as const),
});

interface Call {
  readonly id: string;
  readonly kind: TicketKind;
  readonly leaving: AbortController;
  lease: Lease | null;
  isOver: boolean;
}

/** Two gateways on one ledger, and everything that can go wrong between them. */
class World {
  readonly clock = new FakeClock();
  readonly ledger = new MemoryLedgerStore(() => this.clock.epochMs() * 1_000);
  readonly links = OWNERS.map(() => new FlakyLedger(this.ledger));
  readonly calls: Call[] = [];
  /** Times that the ledger had more tickets of an owner than it knew: a leak, though the link repairs it. */
  leaks = 0;
  readonly #log: Logger = {
    ...silentLogger,
    warn: (_fields, event) => {
      if (event === 'ledger.tickets_unknown') this.leaks += 1;
    },
  };
  readonly orders = this.links.map((store, index) => {
    return new PoolLiveOrder({ store, pool: 'ns/p', owner: OWNERS[index]!, clock: this.clock, log: this.#log });
  });

  enter(owner: number, pick: number): void {
    const kind = KINDS[pick % KINDS.length]!;
    // Stored work and rows are claimed again and again; no call comes twice.
    const id = kind === 'held' ? `call-${this.calls.length}` : `${kind}-${pick}`;
    const call: Call = { id, kind, leaving: new AbortController(), lease: null, isOver: false };
    this.calls.push(call);
    const options = enterOptions({ signal: call.leaving.signal, rank: () => ['ep-1', 'ep-2'] });
    const priority = (pick % 2) * 10;
    const entered = this.orders[owner]!.enter(ticketSpec(id, { kind, priority, objective: `p${priority}` }), options);
    this.follow(call, entered);
  }

  follow(call: Call, entered: ReturnType<PoolLiveOrder['enter']>): void {
    entered.then(
      (entry) => {
        if (entry.kind === 'run') call.lease = entry.lease;
        else call.isOver = true;
      },
      () => (call.isOver = true),
    );
  }

  settle(call: Call): void {
    const { lease } = call;
    if (lease === null) return;
    call.lease = null;
    lease.settle(COMPLETED, 'ref').then(
      () => (call.isOver = true),
      () => (call.isOver = true),
    );
  }

  requeue(call: Call): void {
    const { lease } = call;
    if (lease === null) return;
    call.lease = null;
    this.follow(call, lease.requeue('ep-1'));
  }

  /** Leases that their holders may still believe in, by endpoint. */
  believed(endpointId: string): number {
    return this.calls.filter(({ lease }) => lease?.endpointId === endpointId && !lease.lost.aborted).length;
  }
}

test('whatever connections, processes and Redis do, every call ends and no slot or ticket is left behind', async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
    const world = new World();
    const { clock, calls, orders, links, ledger } = world;
    void orders[0]!.setEndpoints([endpoint('ep-1', 2), endpoint('ep-2', 1)]);
    await clock.advance(300);
    for (const { what, owner, pick, afterMs, connection } of steps) {
      const call = calls[pick % (calls.length || 1)];
      if (what === 'enter') world.enter(owner, pick);
      else if (what === 'connection') {
        links[owner]!.deliver();
        links[owner]!.connection = connection;
      } else if (what === 'restart') ledger.restart();
      else if (what === 'freeze') clock.freeze(100 * pick);
      else if (call && what === 'settle') world.settle(call);
      else if (call && what === 'release') call.lease?.release();
      else if (call && what === 'requeue') world.requeue(call);
      else if (call && what === 'abort') call.leaving.abort();
      else if (call && what === 'cancel' && call.kind === 'stored') {
        orders[owner]!.settle(call.id, 'o', COMPLETED, null).catch(() => undefined);
      }
      await clock.advance(afterMs);
    }
    for (const link of links) link.deliver();
    await clock.advance(6_000);
    for (const call of calls) {
      call.leaving.abort();
      world.settle(call);
    }
    await clock.advance(20_000);
    expect(world.leaks).toBe(0);
    expect(calls.filter(({ isOver }) => !isOver)).toEqual([]);
    expect([...ledger.state.tickets.keys()]).toEqual([]);
    expect([...ledger.state.used.values()].flatMap((ids) => [...ids])).toEqual([]);
    expect(ledger.state.endpoints.map(({ id, slots }) => [id, slots])).toEqual([
      ['ep-1', 2],
      ['ep-2', 1],
    ]);
    const closed = Promise.all(orders.map((order) => order.close()));
    await clock.advance(3_000);
    await closed;
    await settleMicrotasks();
  });
  await fc.assert(property, { numRuns: 60 });
});

test('while both gateways live and are heard, no endpoint has more leases than slots', async () => {
  const quiet = step.filter(({ what, connection, afterMs }) => {
    return (
      what !== 'restart' && what !== 'freeze' && connection !== 'down' && connection !== 'silent' && afterMs < 1_000
    );
  });
  const property = fc.asyncProperty(fc.array(quiet, { maxLength: 60, size: 'max' }), async (steps) => {
    const world = new World();
    const { clock, calls, orders, links } = world;
    void orders[0]!.setEndpoints([endpoint('ep-1', 2), endpoint('ep-2', 1)]);
    await clock.advance(300);
    for (const { what, owner, pick, afterMs, connection } of steps) {
      const call = calls[pick % (calls.length || 1)];
      if (what === 'enter') world.enter(owner, pick);
      else if (what === 'connection') links[owner]!.connection = connection;
      else if (call && what === 'settle') world.settle(call);
      else if (call && what === 'requeue') world.requeue(call);
      else if (call && what === 'abort') call.leaving.abort();
      await clock.advance(afterMs);
      links[owner]!.connection = 'up';
      expect(world.believed('ep-1')).toBeLessThanOrEqual(2);
      expect(world.believed('ep-2')).toBeLessThanOrEqual(1);
    }
    const closed = Promise.all(orders.map((order) => order.close()));
    await clock.advance(3_000);
    await closed;
  });
  await fc.assert(property, { numRuns: 40 });
});
