import { expect, test } from 'vitest';
import { breakEvenRequests } from '../../../src/autoscaler/policy/activation.ts';
import { backlogPods } from '../../../src/autoscaler/policy/backlog.ts';
import { deadlinePods, latestStartInMs } from '../../../src/autoscaler/policy/deadline.ts';
import { rateNeed, ratePods } from '../../../src/autoscaler/policy/rate.ts';
import type { PodSupply } from '../../../src/autoscaler/policy/supply.ts';
import { objectiveView } from './support/builders.ts';

// One pod: 32 slots, all of them busy when full, 25 slot-seconds a request: 1.28 requests per second.
const RATE = 32;
const WORK_MS = 25_000;
const orderable = (count: number, availableInMs: number): PodSupply[] =>
  Array.from({ length: count }, () => ({ target: 'gpu', rate: RATE, availableInMs }));

test.each([
  { coldStartS: 300, keepWarmS: 120, percent: 50, want: 538 },
  { coldStartS: 300, keepWarmS: 300, percent: 50, want: 768 },
  { coldStartS: 300, keepWarmS: 300, percent: 30, want: 330 },
  { coldStartS: 966, keepWarmS: 966, percent: 50, want: 2_473 },
])('a boot of $coldStartS s kept warm $keepWarmS s pays at $percent % from $want requests on', (row) => {
  const overheadMs = (row.coldStartS + row.keepWarmS) * 1_000;
  expect(breakEvenRequests(RATE, WORK_MS, overheadMs, row.percent)).toBe(row.want);
});

test.each([
  { drainS: 300, want: 6 },
  { drainS: 600, want: 3 },
  { drainS: 1_200, want: 2 },
])('2,000 queued requests need $want pods to drain within $drainS s', ({ drainS, want }) => {
  const due = [{ dueInMs: 390_000 + drainS * 1_000, slotMs: 2_000 * WORK_MS }];
  expect(backlogPods({ pods: orderable(20, 390_000), certain: 0, due, coldStartP50Ms: 300_000 })).toBe(want);
});

test('4 requests per second need 4 pods', () => {
  const { risingSlots } = rateNeed([objectiveView({ perS60: 4, perS300: 4, slotMsPerRequest: WORK_MS })]);
  expect(ratePods(orderable(20, 390_000), risingSlots)).toBe(4);
});

test('20,000 requests due in two hours need 3 pods from zero', () => {
  const work = [{ dueInMs: 7_200_000, slotMs: 20_000 * WORK_MS }];
  expect(deadlinePods(orderable(20, 390_000), 0, work)).toMatchObject({ pods: 3, infeasible: 0 });
});

test('20,000 requests due in eight hours may start after 10,416 s on one pod', () => {
  // Safety 15 % instead of our 10 %, the last request's 25 s as reserve, no guard: the vector's own assumptions.
  const work = { windowMs: 0, dueInMs: 28_800_000 - 25_000, slotMs: (20_000 * WORK_MS * 1.15) / 1.1 };
  expect(Math.floor(latestStartInMs(work, 390_000, RATE) / 1_000)).toBe(10_416);
});
