import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { dueBucketMs } from '../../../../src/queue/policy/ledger/due.ts';
import { flowOf, isAtLimit } from '../../../../src/queue/policy/ledger/flows.ts';
import { placeOf, queueKey } from '../../../../src/queue/policy/ledger/places.ts';
import { reservedAbove } from '../../../../src/queue/policy/ledger/reserved.ts';
import { isPaused } from '../../../../src/queue/policy/ledger/rules.ts';
import { freeSlots, mayUse, totalFree } from '../../../../src/queue/policy/ledger/slots.ts';
import type { LedgerState, Ticket } from '../../../../src/queue/policy/ledger/state.ts';
import { Story, stepArbitrary, TEST_TIMING } from '../../../support/ledger-script.ts';

/** What must be true after every turn of any story. */
function check(state: LedgerState, nowMs: number, isSwept: boolean): void {
  const tickets = [...state.tickets.values()];
  everyTicketIsWhereItsStateSays(state, tickets);
  countersEqualTheirSums(state, tickets);
  everyIndexIsTrue(state, tickets);
  everyDeadlineIsCountedOnce(state);
  everyTenantHasWhatItsWorkHas(state, tickets);
  everyExpiryIsInItsIndex(state, tickets);
  everyBulkIsItsObjectives(state);
  if (state.recoverUntilMs === 0 && !state.isAssignOwed) noFreeSlotIsOwed(state, tickets, nowMs, isSwept);
}

function everyTicketIsWhereItsStateSays(state: LedgerState, tickets: readonly Ticket[]): void {
  const lines = [...state.queues.values()].flatMap((queue) => [...queue.lines.values()].flatMap((line) => line.ids()));
  const waiting = [...lines, ...[...state.parked.values()].flatMap((parked) => [...parked])];
  const holders = [...state.used.values()].flatMap((ids) => [...ids]);
  const offers = [...state.offers.values()].flatMap((ids) => ids.ids());
  const ids = (...states: Ticket['state'][]) =>
    tickets.filter(({ state: at }) => states.includes(at)).map(({ id }) => id);
  expect(waiting.sort()).toEqual(ids('waiting').sort());
  expect(holders.sort()).toEqual(ids('offered', 'running').sort());
  expect(offers.sort()).toEqual(ids('offered').sort());
  expect([...state.ownerTickets.values()].flatMap((own) => [...own]).sort()).toEqual(
    tickets.map(({ id }) => id).sort(),
  );
  for (const ticket of tickets) {
    const holds = state.used.get(ticket.endpointId)?.has(ticket.id) ?? false;
    expect(holds).toBe(ticket.state === 'offered' || ticket.state === 'running');
  }
}

function countersEqualTheirSums(state: LedgerState, tickets: readonly Ticket[]): void {
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  for (const [objective, book] of state.books) {
    const held = tickets.filter((t) => t.objective === objective && t.kind === 'held' && t.state === 'waiting');
    const demand = [...state.demand].filter(([, entry]) => entry.objective === objective);
    expect(book.held.ids().sort()).toEqual(held.map(({ id }) => id).sort());
    expect(book.heldBytes).toBe(sum(held.map(({ bytes }) => bytes)));
    expect(book.heldCostTokens).toBe(sum(held.map(({ costTokens }) => costTokens)));
    expect(book.stored.ids().sort()).toEqual(demand.map(([id]) => id).sort());
    expect(book.storedBytes).toBe(sum(demand.map(([, { bytes }]) => bytes)));
    expect(book.storedCostTokens).toBe(sum(demand.map(([, { costTokens }]) => costTokens)));
  }
  for (const id of [...state.reservations.ids(), ...state.deadlines.ids()]) expect(state.demand.has(id)).toBe(true);
}

function everyDeadlineIsCountedOnce(state: LedgerState): void {
  for (const [objective, book] of state.books) {
    const expected = new Map<number, { requests: number; costTokens: number }>();
    for (const id of state.deadlines.ids()) {
      const demand = state.demand.get(id);
      if (demand?.objective !== objective) continue;
      const bucketMs = dueBucketMs(state.deadlines.score(id)!, book.stored.score(id)!);
      const { requests, costTokens } = expected.get(bucketMs) ?? { requests: 0, costTokens: 0 };
      expected.set(bucketMs, { requests: requests + 1, costTokens: costTokens + demand.costTokens });
      expect(book.due.get(bucketMs)?.acceptedAtMs).toBeLessThanOrEqual(book.stored.score(id)!);
    }
    const counted = [...book.due].map(([at, { requests, costTokens }]) => [at, { requests, costTokens }] as const);
    expect(new Map(counted)).toEqual(expected);
  }
}

function everyTenantHasWhatItsWorkHas(state: LedgerState, tickets: readonly Ticket[]): void {
  const sums = (work: readonly { fairnessId: string; bytes: number }[]) => {
    const usages = new Map<string, { requests: number; bytes: number }>();
    for (const { fairnessId, bytes } of work) {
      const before = usages.get(fairnessId) ?? { requests: 0, bytes: 0 };
      usages.set(fairnessId, { requests: before.requests + 1, bytes: before.bytes + bytes });
    }
    usages.delete('');
    return usages;
  };
  expect(state.tenantsHeld).toEqual(sums(tickets.filter((t) => t.kind === 'held' && t.state === 'waiting')));
  expect(state.tenantsStored).toEqual(sums([...state.demand.values()]));
}

function everyExpiryIsInItsIndex(state: LedgerState, tickets: readonly Ticket[]): void {
  const waiting = tickets.filter(({ state: at }) => at === 'waiting');
  const stops = waiting.filter((t) => t.expiresAtMs < 0);
  expect(state.stopExpiries.ids().sort()).toEqual(stops.map(({ id }) => id).sort());
  const open = state.endpoints.some(({ gate, slots }) => gate === 'open' && slots > 0);
  expect(state.stoppedSinceMs > 0).toBe(!open);
}

function everyBulkIsItsObjectives(state: LedgerState): void {
  const named = [...state.books].flatMap(([objective, book]) => [...book.bulks].map((id) => [id, objective]));
  expect(named.sort()).toEqual([...state.bulks].map(([id, bulk]) => [id, bulk.objective]).sort());
  expect(state.bulksTold.ids().sort()).toEqual([...state.bulks.keys()].sort());
  for (const { requests } of state.bulks.values()) expect(requests).toBeGreaterThan(0);
  expect([...state.outboxObjectives.keys()].sort()).toEqual(state.outbox.ids().sort());
}

/** A ticket waits only for slots that are taken or kept free, unless its owner, its objective or its tenant is in the way. */
function noFreeSlotIsOwed(state: LedgerState, tickets: readonly Ticket[], nowMs: number, isSwept: boolean): void {
  const free = state.endpoints.filter((endpoint) => freeSlots(state, endpoint) > 0);
  for (const ticket of tickets) {
    const isDeaf =
      (state.owners.score(ticket.owner) ?? 0) <= nowMs - TEST_TIMING.deadOwnerMs ||
      (state.missedOffers.get(ticket.owner) ?? 0) >= 2;
    if (ticket.state !== 'waiting' || isDeaf || isPaused(state, ticket.objective) || isAtLimit(state, ticket)) continue;
    // That a reservation has lapsed is found by the next sweep.
    const reservedAtMs = isSwept ? nowMs : 0;
    if (totalFree(state) <= reservedAbove({ state, nowMs: reservedAtMs }, ticket.band)) continue;
    expect(free.filter((endpoint) => mayUse(state, ticket, endpoint)).map(({ id }) => id)).toEqual([]);
  }
}

/** Every index says again what the tickets say. */
function everyIndexIsTrue(state: LedgerState, tickets: readonly Ticket[]): void {
  const waiting = tickets.filter((ticket) => ticket.state === 'waiting');
  const placed = waiting.filter((ticket) => !state.parked.get(ticket.objective)?.has(ticket.id));
  for (const ticket of placed) {
    const queue = state.queues.get(queueKey(ticket))!;
    const flow = flowOf(ticket);
    expect(queue.lines.get(flow)?.score(ticket.id)).toBe(placeOf(ticket));
    const time = state.bands.get(ticket.band)?.flows.get(flow);
    expect(time).toBeDefined();
    expect(state.bands.get(ticket.band)?.idle.has(flow)).toBe(false);
    const isCapped = state.capped.get(flow)?.has(queue.key) ?? false;
    if (queue.flows.has(flow)) expect(queue.flows.score(flow)).toBe(time);
    else expect(isCapped).toBe(true);
    expect(state.queueOrder.has(queue.key)).toBe(queue.flows.size > 0);
  }
  for (const [number, band] of state.bands) {
    const inBand = placed.filter((ticket) => ticket.band === number);
    expect(band.waiting).toBe(inBand.length);
    const busy = new Set(inBand.map(flowOf));
    for (const flow of band.flows.keys()) expect(band.idle.has(flow)).toBe(!busy.has(flow));
    for (const flow of band.idle.ids()) expect(band.idle.score(flow)).toBe(band.flows.get(flow));
  }
  for (const id of state.aging.ids()) expect(placed.some((ticket) => ticket.id === id)).toBe(true);
  slotsAreCounted(state, tickets);
}

function slotsAreCounted(state: LedgerState, tickets: readonly Ticket[]): void {
  const holders = tickets.filter((ticket) => ticket.state === 'offered' || ticket.state === 'running');
  for (const [objective, book] of state.books) {
    expect(book.slots).toBe(holders.filter((ticket) => ticket.objective === objective).length);
    const kinds = (isHeld: boolean) =>
      tickets.filter((t) => t.objective === objective && t.state === 'waiting' && (t.kind === 'held') === isHeld);
    expect(book.intake.ids().sort()).toEqual(
      kinds(false)
        .map(({ id }) => id)
        .sort(),
    );
    for (const ticket of kinds(true)) expect(book.held.score(ticket.id)).toBe(ticket.tag);
  }
  const limited = holders.filter(({ maxConcurrency }) => maxConcurrency > 0);
  const counts = new Map<string, number>();
  for (const { fairnessId } of limited) counts.set(fairnessId, (counts.get(fairnessId) ?? 0) + 1);
  expect(state.tenantSlots).toEqual(counts);
}

test('after every turn of a random story nothing is lost, counted twice or owed', async () => {
  const property = fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 120, size: 'max' }), async (steps) => {
    const clock = { nowUs: () => 0 };
    const store = new MemoryLedgerStore(() => clock.nowUs());
    let slotsBefore = new Map<string, number>();
    const story = new Story([store], (_results, ops) => {
      const { state } = store;
      check(state, Math.floor(story.nowUs / 1_000), ops.at(-1)?.op === 'poll' || ops.at(-1)?.op === 'heartbeat');
      const used = (id: string) => (state.used.get(id)?.size ?? 0) + (state.quarantine.get(id)?.size ?? 0);
      // Only a smaller limit or an owner's own word may leave an endpoint over-full.
      const mayOverfill = ops.some(({ op }) => op === 'setEndpoints' || op === 'reassert' || op === 'open');
      for (const { id, slots } of state.endpoints) {
        if (!mayOverfill) expect(used(id)).toBeLessThanOrEqual(Math.max(slots, slotsBefore.get(id) ?? 0));
      }
      slotsBefore = new Map(state.endpoints.map(({ id }) => [id, used(id)]));
    });
    clock.nowUs = () => story.nowUs;
    await story.play(steps);
  });
  await fc.assert(property, { numRuns: 150 });
});
