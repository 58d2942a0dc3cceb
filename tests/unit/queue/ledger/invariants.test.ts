import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryLedgerStore } from '../../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { dueBucketMs } from '../../../../src/queue/policy/ledger/due.ts';
import { freeSlots, mayUse } from '../../../../src/queue/policy/ledger/slots.ts';
import type { LedgerState, Ticket } from '../../../../src/queue/policy/ledger/state.ts';
import { Story, stepArbitrary, TEST_TIMING } from '../../../support/ledger-script.ts';

/** What must be true after every turn of any story. */
function check(state: LedgerState, nowMs: number): void {
  const tickets = [...state.tickets.values()];
  everyTicketIsWhereItsStateSays(state, tickets);
  countersEqualTheirSums(state, tickets);
  everyDeadlineIsCountedOnce(state);
  everyBulkIsItsObjectives(state);
  if (state.recoverUntilMs === 0 && !state.isAssignOwed) noFreeSlotIsOwed(state, tickets, nowMs);
}

function everyTicketIsWhereItsStateSays(state: LedgerState, tickets: readonly Ticket[]): void {
  const waiting = [...state.queues.values()].flatMap((queue) => queue.tickets.ids());
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
  for (const queue of state.queues.values()) expect(queue.tickets.size).toBeGreaterThan(0);
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

function everyBulkIsItsObjectives(state: LedgerState): void {
  const named = [...state.books].flatMap(([objective, book]) => [...book.bulks].map((id) => [id, objective]));
  expect(named.sort()).toEqual([...state.bulks].map(([id, bulk]) => [id, bulk.objective]).sort());
  expect(state.bulksTold.ids().sort()).toEqual([...state.bulks.keys()].sort());
  for (const { requests } of state.bulks.values()) expect(requests).toBeGreaterThan(0);
  expect([...state.outboxObjectives.keys()].sort()).toEqual(state.outbox.ids().sort());
}

/** A ticket waits only for slots that are taken, unless its owner cannot be offered anything. */
function noFreeSlotIsOwed(state: LedgerState, tickets: readonly Ticket[], nowMs: number): void {
  const free = state.endpoints.filter((endpoint) => freeSlots(state, endpoint) > 0);
  for (const ticket of tickets) {
    const isDeaf =
      (state.owners.score(ticket.owner) ?? 0) <= nowMs - TEST_TIMING.deadOwnerMs ||
      (state.missedOffers.get(ticket.owner) ?? 0) >= 2;
    if (ticket.state !== 'waiting' || isDeaf) continue;
    expect(free.filter((endpoint) => mayUse(state, ticket, endpoint)).map(({ id }) => id)).toEqual([]);
  }
}

test('after every turn of a random story nothing is lost, counted twice or owed', async () => {
  const property = fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 120, size: 'max' }), async (steps) => {
    const clock = { nowUs: () => 0 };
    const store = new MemoryLedgerStore(() => clock.nowUs());
    let slotsBefore = new Map<string, number>();
    const story = new Story([store], (_results, ops) => {
      const { state } = store;
      check(state, Math.floor(story.nowUs / 1_000));
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
