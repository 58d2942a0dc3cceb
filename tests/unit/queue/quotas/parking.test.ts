import { expect, test } from 'vitest';
import { ParkingPlan, type Refused } from '../../../../src/queue/policy/quotas/parking.ts';

/** One job a second may run, and the next one in a second and a half. */
const NEXT: Refused = { afterMs: 1_500, share: 1 / 60, priority: 0, leftMs: null, nowMs: 10_000 };

function full(plan: ParkingPlan): number {
  let lastMs = 0;
  for (let job = 0; job < 1_000; job += 1) lastMs = plan.park('acme', NEXT);
  return lastMs;
}

test('jobs stand in a row, as far apart as the rate has them, a quarter of an hour at most', () => {
  const plan = new ParkingPlan();
  expect([plan.park('acme', NEXT), plan.park('acme', NEXT), plan.park('acme', NEXT)]).toEqual([1_500, 2_500, 3_500]);
  expect(full(plan)).toBe(900_000);
});

test.each([
  ['another tenant', 'team-b', NEXT],
  ['a higher band of the same tenant', 'acme', { ...NEXT, priority: 10 }],
])('%s does not stand behind them', (_who, tenant, refused) => {
  const plan = new ParkingPlan();
  full(plan);
  expect(plan.park(tenant, refused)).toBe(1_500);
});

test.each([
  ['half-way to its deadline', 300_000, 150_000],
  ['not before it can pass, however near its deadline is', 2_000, 1_500],
  ['with the others, if its deadline is far', 86_400_000, 900_000],
  ["when it can pass, though its deadline is over: that is somebody else's to end", -1, 1_500],
])('a job is looked at %s', (_when, leftMs, expected) => {
  const plan = new ParkingPlan();
  full(plan);
  expect(plan.park('acme', { ...NEXT, leftMs })).toBe(expected);
  expect(plan.park('acme', NEXT), 'the row does not move forward by it').toBe(900_000);
});

test('what is refused in one moment comes back in a second at least', () => {
  expect(new ParkingPlan().park('acme', { ...NEXT, afterMs: 1 })).toBe(1_000);
});
