import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../../src/core/live-order.ts';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../../src/queue/live-order/pool-live-order.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { COMPLETED, endpoint, enterOptions, leaseOf, ticketSpec } from '../../../support/live-order-builders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { StoppingProcess } from '../../../support/stopping-process.ts';

const SLOTS = { 'ep-1': 3, 'ep-2': 2 };
const ENDPOINTS = Object.keys(SLOTS) as (keyof typeof SLOTS)[];

interface Call {
  readonly id: string;
  readonly process: number;
  readonly leaving: AbortController;
  /** Upstream calls that this process has open, or would have: a lease it was given and has not heard to be lost. */
  lease: Lease | null;
  isOver: boolean;
}

/** Several gateways on one ledger, each of which may stop and go on. */
class World {
  readonly clock = new FakeClock();
  readonly ledger = new MemoryLedgerStore(() => this.clock.epochMs() * 1_000);
  readonly processes: readonly StoppingProcess[];
  readonly orders: readonly PoolLiveOrder[];
  readonly calls: Call[] = [];
  /** Sees engines and sets slots; it never stops. */
  readonly keeper: PoolLiveOrder;

  constructor(owners: number) {
    this.processes = Array.from({ length: owners }, () => new StoppingProcess(this.ledger, this.clock));
    const shared = { pool: 'ns/p', log: silentLogger };
    this.orders = this.processes.map(
      ({ store, clock }, index) => new PoolLiveOrder({ ...shared, store, clock, owner: `gw-${index}` }),
    );
    this.keeper = new PoolLiveOrder({
      ...shared,
      store: this.ledger,
      clock: this.clock,
      owner: 'keeper',
      executes: false,
    });
  }

  async open(): Promise<void> {
    void this.keeper.setEndpoints(ENDPOINTS.map((id) => endpoint(id, SLOTS[id])));
    await this.clock.advance(300);
  }

  enter(process: number, isStored: boolean, pick: number): void {
    const id = isStored ? `job-${pick}` : `call-${this.calls.length}`;
    const call: Call = { id, process, leaving: new AbortController(), lease: null, isOver: false };
    this.calls.push(call);
    const options = enterOptions({ signal: call.leaving.signal, rank: () => ENDPOINTS });
    const kind = isStored ? 'stored' : 'held';
    this.orders[process]!.enter(ticketSpec(id, { kind, costTokens: 1 + pick }), options).then(
      (entry) => {
        if (entry.kind === 'run') call.lease = entry.lease;
        else call.isOver = true;
      },
      () => (call.isOver = true),
    );
  }

  end(call: Call): void {
    const { lease } = call;
    if (lease === null || this.processes[call.process]!.isStopped) return;
    call.lease = null;
    const over = () => (call.isOver = true);
    lease.settle(COMPLETED, 'ref').then(over, over);
  }

  /** What a stopped process runs goes on in the engine. */
  running(endpointId: string): readonly Call[] {
    return this.calls.filter(({ lease }) => lease?.endpointId === endpointId && !lease.lost.aborted);
  }

  /** Two scrapes in a row of every engine. */
  async scrape(): Promise<void> {
    for (let times = 0; times < 2; times += 1) {
      await this.clock.advance(10);
      for (const id of ENDPOINTS) this.keeper.observe(id, this.running(id).length, this.clock.epochMs());
      await this.clock.advance(10);
    }
  }

  /** A scrape that is answered at once and told late. */
  scrapeSlowly(tellAfterMs: number): void {
    const startedAtMs = this.clock.epochMs();
    for (const id of ENDPOINTS) {
      const requests = this.running(id).length;
      void this.clock.sleep(tellAfterMs).then(() => this.keeper.observe(id, requests, startedAtMs));
    }
  }

  expectBounds(): void {
    for (const id of ENDPOINTS) expect(this.running(id).length).toBeLessThanOrEqual(SLOTS[id]);
    // Nobody can know of a stopped process whether it lives; what matters is what it does when it goes on.
    const isAwake = ({ process, lease }: Call) => lease?.lost.aborted === false && !this.processes[process]!.isStopped;
    const jobs = this.calls.filter(isAwake).map(({ id }) => id);
    expect(jobs).toHaveLength(new Set(jobs).size);
  }

  async close(): Promise<void> {
    for (const process of this.processes) await process.continue();
    const closed = Promise.all([...this.orders, this.keeper].map((order) => order.close()));
    await this.clock.advance(3_000);
    await closed;
    await settleMicrotasks();
  }
}

interface Step {
  readonly what: 'enter' | 'end' | 'leave' | 'stop' | 'continue' | 'slow' | 'mail' | 'scrape' | 'slowScrape';
  readonly process: number;
  readonly pick: number;
  readonly isStored: boolean;
  readonly afterMs: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { weight: 30, arbitrary: fc.constant('enter' as const) },
    { weight: 15, arbitrary: fc.constant('end' as const) },
    { weight: 8, arbitrary: fc.constant('leave' as const) },
    { weight: 8, arbitrary: fc.constant('stop' as const) },
    { weight: 8, arbitrary: fc.constant('continue' as const) },
    { weight: 4, arbitrary: fc.constant('slow' as const) },
    { weight: 4, arbitrary: fc.constant('mail' as const) },
    { weight: 6, arbitrary: fc.constant('scrape' as const) },
    { weight: 4, arbitrary: fc.constant('slowScrape' as const) },
  ),
  process: fc.nat(4),
  pick: fc.nat(20),
  isStored: fc.boolean(),
  afterMs: fc.oneof(
    { weight: 6, arbitrary: fc.nat(10) },
    { weight: 3, arbitrary: fc.nat(400) },
    { weight: 1, arbitrary: fc.nat(6_000) },
  ),
});

/** Plays it, and checks the bounds after each step; at its end all go on, every call ends, and nothing may be left. */
async function play(owners: number, steps: readonly (readonly [Step, boolean])[]): Promise<void> {
  const world = new World(owners);
  const { clock, calls, processes, ledger } = world;
  await world.open();
  for (const [{ what, process: any, pick, isStored, afterMs }, isRestart] of steps) {
    if (isRestart) ledger.restartWithData();
    const index = any % owners;
    const process = processes[index]!;
    const call = calls[pick % (calls.length || 1)];
    if (what === 'enter' && !process.isStopped) world.enter(index, isStored, pick);
    else if (what === 'end' && call) world.end(call);
    else if (what === 'leave' && call && !processes[call.process]!.isStopped) call.leaving.abort();
    else if (what === 'stop') process.stop();
    else if (what === 'continue') await process.continue();
    else if (what === 'slow') process.delay(pick * 5, pick * 20);
    else if (what === 'mail') process.losesMail = !process.losesMail;
    else if (what === 'scrape') await world.scrape();
    else if (what === 'slowScrape') world.scrapeSlowly(pick * 20);
    world.expectBounds();
    await clock.advance(afterMs);
    world.expectBounds();
  }
  for (const process of processes) {
    process.delay(0, 0);
    process.losesMail = false;
    await process.continue();
  }
  // Long enough for stalls to be noticed and for all to join again; then every call may end.
  await clock.advance(8_000);
  for (let round = 0; round < calls.length + 3; round += 1) {
    for (const call of calls) world.end(call);
    await clock.advance(50);
    world.expectBounds();
  }
  for (const call of calls) call.leaving.abort();
  await clock.advance(5_000);
  // What was lost with a stopped owner is in quarantine until engines are seen to be free, and no longer.
  await world.scrape();
  await world.scrape();
  expect(calls.filter(({ isOver, lease }) => !isOver && lease === null)).toEqual([]);
  expect([...ledger.state.used.values()].flatMap((ids) => [...ids])).toEqual([]);
  expect([...ledger.state.quarantine.keys()]).toEqual([]);
  expect([...ledger.state.tickets.keys()]).toEqual([]);
  await world.close();
}

test('three to five processes that stop and go on never run more than the slots, no job twice, and lose nothing', async () => {
  const steps = fc.array(fc.tuple(step, fc.constant(false)), { minLength: 10, maxLength: 70, size: 'max' });
  const property = fc.asyncProperty(fc.integer({ min: 3, max: 5 }), steps, play);
  await fc.assert(property, { numRuns: 60 });
}, 60_000);

test('nor while a Redis starts again with what it kept', async () => {
  const isRestart = fc.integer({ min: 1, max: 12 }).map((dice) => dice === 1);
  const steps = fc.array(fc.tuple(step, isRestart), { minLength: 10, maxLength: 70, size: 'max' });
  const property = fc.asyncProperty(fc.integer({ min: 3, max: 5 }), steps, play);
  await fc.assert(property, { numRuns: 40 });
}, 60_000);

test('a Redis that forgets everything: owners say again what they run, and never run more than the slots', async () => {
  const lively = step.filter(({ what }) => what !== 'stop');
  const property = fc.asyncProperty(
    fc.array(fc.tuple(lively, fc.integer({ min: 1, max: 12 })), { minLength: 10, maxLength: 60, size: 'max' }),
    async (steps) => {
      const world = new World(3);
      const { clock, calls, processes, ledger } = world;
      await world.open();
      for (const [{ what, process: any, pick, isStored, afterMs }, dice] of steps) {
        const call = calls[pick % (calls.length || 1)];
        if (dice === 1) ledger.restart();
        else if (what === 'enter') world.enter(any % 3, isStored, pick);
        else if (what === 'end' && call) world.end(call);
        else if (what === 'leave' && call) call.leaving.abort();
        else if (what === 'slow') processes[any % 3]!.delay(pick * 2, pick * 5);
        else if (what === 'scrape') await world.scrape();
        world.expectBounds();
        await clock.advance(afterMs);
        world.expectBounds();
      }
      for (const process of processes) process.delay(0, 0);
      await clock.advance(8_000);
      for (let round = 0; round < calls.length + 3; round += 1) {
        for (const call of calls) world.end(call);
        await clock.advance(50);
      }
      for (const call of calls) call.leaving.abort();
      await clock.advance(5_000);
      expect(calls.filter(({ isOver, lease }) => !isOver && lease === null)).toEqual([]);
      expect([...ledger.state.used.values()].flatMap((ids) => [...ids])).toEqual([]);
      expect([...ledger.state.tickets.keys()]).toEqual([]);
      await world.close();
    },
  );
  await fc.assert(property, { numRuns: 40 });
}, 60_000);

describe('a process that stands still', () => {
  const lent = async (holdMs: number) => {
    const world = new World(2);
    await world.open();
    for (let call = 0; call < 5; call += 1) world.enter(0, false, call);
    await world.clock.advance(50);
    expect(world.calls.filter(({ lease }) => lease !== null)).toHaveLength(5);
    world.processes[0]!.stop();
    world.enter(1, false, 9);
    await world.clock.advance(holdMs);
    return world;
  };

  test('keeps its slots for others while its engines are not seen to be free, and gives them back by the cap', async () => {
    const world = await lent(50_000);
    expect(world.calls[5]?.lease).toBeNull();
    await world.clock.advance(15_000);
    expect(world.calls[5]?.lease).not.toBeNull();
    await world.close();
  });

  test('stops what it runs before it reads anything else', async () => {
    const world = await lent(10_000);
    await world.processes[0]!.continue();
    await settleMicrotasks();
    await world.clock.advance(250);
    expect(world.calls.slice(0, 5).every(({ lease }) => lease?.lost.aborted)).toBe(true);
    await world.close();
  });

  test('begins nothing that was granted to it before it stood still', async () => {
    const world = new World(2);
    await world.open();
    const [process] = world.processes;
    process!.delay(0, 20);
    world.enter(0, true, 1);
    await world.clock.advance(5);
    expect([...world.ledger.state.tickets.values()].map(({ state }) => state)).toEqual(['running']);
    process!.stop();
    await world.clock.advance(10_000);
    // Engines are idle, so the slot came back and the job was claimed again elsewhere.
    await world.scrape();
    world.enter(1, true, 1);
    await world.clock.advance(50);
    expect(world.calls[1]?.lease).not.toBeNull();
    await process!.continue();
    expect(world.calls[0]?.lease).toBeNull();
    await world.clock.advance(2_000);
    expect(world.calls[0]?.lease).toBeNull();
    await world.close();
  });

  test('reads none of several answers that came meanwhile', async () => {
    const world = new World(2);
    await world.open();
    const [process] = world.processes;
    process!.delay(0, 20);
    for (const pick of [1, 2]) {
      world.enter(0, true, pick);
      await world.clock.advance(5);
    }
    expect([...world.ledger.state.tickets.values()].map(({ state }) => state)).toEqual(['running', 'running']);
    process!.stop();
    await world.clock.advance(10_000);
    await world.scrape();
    for (let call = 0; call < 5; call += 1) world.enter(1, false, call);
    await world.clock.advance(50);
    await process!.continue();
    world.expectBounds();
    await world.clock.advance(2_000);
    world.expectBounds();
    expect(world.calls.map(({ lease }) => lease !== null)).toEqual([false, false, true, true, true, true, true]);
    await world.close();
  });

  test('counts from its last heartbeat, as the others do, and not from its last timer', async () => {
    const world = new World(2);
    await world.open();
    world.enter(0, true, 1);
    // The ledger heard of it a second ago when it stops.
    await world.clock.advance(640);
    world.processes[0]!.stop();
    await world.clock.advance(2_900);
    world.enter(1, true, 1);
    await world.clock.advance(20);
    const [first, second] = world.calls;
    expect(second?.lease).not.toBeNull();
    await world.processes[0]!.continue();
    await world.clock.advance(1);
    expect(first?.lease?.lost.aborted).toBe(true);
    await world.close();
  });

  test('that was quick enough loses nothing', async () => {
    const world = await lent(2_000);
    await world.processes[0]!.continue();
    await world.clock.advance(1_000);
    expect(world.calls.slice(0, 5).every(({ lease }) => lease?.lost.aborted === false)).toBe(true);
    world.end(world.calls[0]!);
    await world.clock.advance(100);
    expect(leaseOf({ kind: 'run', lease: world.calls[5]!.lease! }).attempt).toBe(1);
    await world.close();
  });
});
