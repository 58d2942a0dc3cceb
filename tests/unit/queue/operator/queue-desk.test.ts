import { beforeEach, describe, expect, test } from 'vitest';
import type { StoredOutcome } from '../../../../src/core/live-order.ts';
import type { BacklogCounts, DeadLetter, DeadLetterDesk } from '../../../../src/core/queues.ts';
import type { BacklogPlace, BacklogView } from '../../../../src/queue/backlog/ports.ts';
import type { JobPlace } from '../../../../src/queue/jobs/ports.ts';
import { PoolQueueDesk } from '../../../../src/queue/operator/queue-desk.ts';
import { demandOf, FakeOrder, liveTicket } from '../../../support/fake-order.ts';
import { COMPLETED, POOL, smallCatalog } from '../../../support/stored-world.ts';

const EMPTY: BacklogCounts = { waiting: 0, delayed: 0, active: 0, failed: 0, isPaused: false };
const PLACE: JobPlace = {
  pool: POOL,
  objective: 'nightly',
  tenant: 'team-a',
  acceptRef: 'r0',
  acceptedAtEpochMs: 5,
  bodyBytes: 1,
};

let order: FakeOrder;
let outcome: StoredOutcome | null;
let backlogPlace: BacklogPlace;
let counts: BacklogCounts;
let place: JobPlace | null;
let letter: DeadLetter | null;
beforeEach(() => {
  order = new FakeOrder(POOL);
  [outcome, backlogPlace, counts, place, letter] = [null, { kind: 'absent' }, EMPTY, PLACE, null];
});

function desk(): PoolQueueDesk {
  const view: BacklogView = {
    counts: () => Promise.resolve(counts),
    placeOf: () => Promise.resolve(backlogPlace),
  };
  const deadLetters = { count: () => Promise.resolve(2), show: () => Promise.resolve(letter) };
  return new PoolQueueDesk({
    order: {
      pool: POOL,
      snapshot: () => order.snapshot(),
      windows: () => new Map([['nightly', 4]]),
      outcomes: (ids) => Promise.resolve(ids.map(() => outcome)),
    },
    control: order,
    jobs: view,
    chunks: view,
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    placeOf: () => Promise.resolve(place),
    deadLetters: deadLetters as Partial<DeadLetterDesk> as DeadLetterDesk,
  });
}

test('queues are shown for configured objectives and for those that only old work names, highest first', async () => {
  order.demands = [
    demandOf('nightly', { waitingStored: 3, stored: 9, oldestAtEpochMs: 40_000 }),
    demandOf('gone', { priority: 50, waitingHeld: 1 }),
  ];
  order.paused.add('nightly');
  counts = { ...EMPTY, waiting: 7, isPaused: true };
  const { pool, objectives } = await desk().look();
  expect(pool).toBe(POOL);
  expect(objectives.map(({ objective }) => objective)).toEqual(['gone', 'nightly']);
  expect(objectives[1]).toMatchObject({
    ...{ priority: -10, waitingStored: 3, stored: 9, oldestWaitMs: 60_000, window: 4, deadLetters: 2 },
    paused: { byOperator: true },
    jobs: { waiting: 7, isPaused: true },
  });
});

describe('a request is explained', () => {
  const dead = { id: 'job' } as DeadLetter;
  const FAILED = { ...COMPLETED, kind: 'failed' } as const;
  const ended = (of: StoredOutcome['outcome']): StoredOutcome => ({ outcome: of, recordRef: 'r1', atEpochMs: 9 });
  test.each([
    { name: 'that waits for a slot', set: () => (order.tickets = [liveTicket('job')]), want: { kind: 'live' } },
    { name: 'that waits in the backlog', set: () => (backlogPlace = { kind: 'waiting' }), want: { kind: 'backlog' } },
    {
      name: 'that was handed back',
      set: () => (backlogPlace = { kind: 'delayed', untilEpochMs: 7 }),
      want: { kind: 'delayed', untilEpochMs: 7 },
    },
    { name: 'that was just claimed', set: () => (backlogPlace = { kind: 'held' }), want: { kind: 'claimed' } },
    { name: 'that somebody removed from the backlog', set: () => undefined, want: { kind: 'missing' } },
    { name: 'that has ended', set: () => (outcome = ended(COMPLETED)), want: { kind: 'ended', endedAtEpochMs: 9 } },
    {
      name: 'that failed',
      set: () => {
        outcome = ended(FAILED);
        letter = dead;
      },
      want: { kind: 'dead_letter', letter: dead },
    },
    { name: 'that failed and was retried', set: () => (outcome = ended(FAILED)), want: { kind: 'ended' } },
    { name: 'that nobody knows', set: () => (place = null), want: { kind: 'unknown' } },
    { name: 'of another pool', set: () => (place = { ...PLACE, pool: 'x/y' }), want: { kind: 'unknown' } },
  ])('$name', async ({ set, want }) => {
    set();
    expect((await desk().explain('job')).place).toMatchObject(want);
  });
});

test('an objective is paused and resumed; one that is nowhere is refused with the names that are', async () => {
  await desk().setPaused('nightly', true);
  expect([...order.paused]).toEqual(['nightly']);
  await desk().setPaused('nightly', false);
  expect([...order.paused]).toEqual([]);
  const refused = desk().setPaused('nightlyy', true);
  await expect(refused).rejects.toMatchObject({ code: 'unknown_objective', param: 'objective' });
  await expect(refused).rejects.toThrow('it has: nightly');
});

test('while Redis is away it says so', async () => {
  order.isDown = true;
  for (const asked of [desk().look(), desk().explain('job'), desk().setPaused('nightly', true)]) {
    await expect(asked).rejects.toMatchObject({ code: 'queue_unavailable' });
  }
});
