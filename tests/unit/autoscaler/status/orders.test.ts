import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readMarks, writeMarks } from '../../../../src/autoscaler/policy/order-marks.ts';
import { checkChange, describeOrders, inForce } from '../../../../src/autoscaler/policy/order-rules.ts';
import { NO_ORDER, type PoolOrder } from '../../../../src/core/pool-orders.ts';

const NOW = Date.UTC(2026, 0, 31, 12);
const HOUR_MS = 3_600_000;
const order = (over: Partial<PoolOrder>): PoolOrder => ({ ...NO_ORDER, ...over });

test.each([
  { name: 'nothing ordered', order: NO_ORDER, says: [] },
  {
    name: 'a wake',
    order: order({ wakeUntilEpochMs: NOW + HOUR_MS, wakeReplicas: 2, by: 'ada' }),
    says: ['at least 2 replicas are kept up until 2026-01-31T13:00:00Z (ordered by ada)'],
  },
  {
    name: 'a wake of one',
    order: order({ wakeUntilEpochMs: NOW + HOUR_MS, wakeReplicas: 1 }),
    says: ['at least 1 replica is kept up until 2026-01-31T13:00:00Z'],
  },
  { name: 'a wake that has passed', order: order({ wakeUntilEpochMs: NOW, wakeReplicas: 2 }), says: [] },
  {
    name: 'a drain in a paused pool',
    order: order({ drainUntilEpochMs: NOW + HOUR_MS, paused: true }),
    says: [
      'the pool is drained and stays at zero until 2026-01-31T13:00:00Z, whatever is queued',
      'paused: replicas stay as they are until it is resumed',
    ],
  },
])('told in sentences: $name', ({ order: given, says }) => {
  expect(describeOrders(given, NOW)).toEqual(says);
});

const times = fc.integer({ min: NOW - 10 * HOUR_MS, max: NOW + 200 * HOUR_MS });
const changes: fc.Arbitrary<Partial<PoolOrder>> = fc.record(
  {
    wakeUntilEpochMs: fc.option(times),
    wakeReplicas: fc.integer({ min: -1, max: 1_100 }),
    drainUntilEpochMs: fc.option(times),
    paused: fc.boolean(),
    by: fc.option(fc.string()),
  },
  { requiredKeys: [] },
);

test('whatever was accepted, a pool is never woken and drained at once, and bounds hold', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 6 }), (story) => {
      let now = NO_ORDER;
      for (const change of story) {
        const checked = checkChange(change, NOW);
        if (checked.ok) now = { ...now, ...checked.change };
        const left = inForce(now, NOW);
        expect(left.wakeUntilEpochMs !== null && left.drainUntilEpochMs !== null).toBe(false);
        expect(left.wakeReplicas).toBeGreaterThanOrEqual(left.wakeUntilEpochMs === null ? 0 : 1);
        expect(left.wakeReplicas).toBeLessThanOrEqual(1_000);
      }
    }),
  );
});

test('an accepted change is read back from the annotations that it writes', () => {
  fc.assert(
    fc.property(changes, (change) => {
      const checked = checkChange(change, NOW);
      fc.pre(checked.ok);
      const marks = Object.entries(writeMarks(checked.change)).filter(
        (entry): entry is [string, string] => entry[1] !== null,
      );
      const read = readMarks(Object.fromEntries(marks), NOW);
      expect(read.problems).toEqual([]);
      expect(inForce(read.order, NOW)).toEqual(inForce({ ...NO_ORDER, ...checked.change }, NOW));
    }),
  );
});

test('no annotation, whatever it says, breaks anything: it orders within bounds or is reported', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...Object.keys(writeMarks({ ...NO_ORDER, by: '' }))), fc.string()),
      (marks) => {
        const { order: read } = readMarks(marks, NOW);
        expect(read.wakeReplicas).toBeLessThanOrEqual(1_000);
        expect(typeof read.paused).toBe('boolean');
      },
    ),
  );
});
