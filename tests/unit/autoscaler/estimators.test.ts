import { expect, test } from 'vitest';
import {
  arrivalRates,
  newArrivalRate,
  observeArrivals,
  recentPerS,
} from '../../../src/autoscaler/policy/arrival-rate.ts';
import { type TrackedBoots, trackBoots } from '../../../src/autoscaler/policy/boot-tracker.ts';
import {
  addBoot,
  type BootHistory,
  type BootRecord,
  coldStart,
  remainingBoot,
} from '../../../src/autoscaler/policy/cold-start.ts';
import { newDownWindow, noteWanted, windowMaxPods } from '../../../src/autoscaler/policy/down-window.ts';
import { weightedQuantile } from '../../../src/autoscaler/policy/quantile.ts';
import type { TargetReplica } from '../../../src/autoscaler/policy/target-replica.ts';
import {
  newWorkEstimate,
  observeSlotUse,
  observeWork,
  slotMsPerRequest,
} from '../../../src/autoscaler/policy/work-estimate.ts';
import type { WarmUpPhase } from '../../../src/core/replicas.ts';
import { demand } from './support/builders.ts';

const NOW_MS = 1_700_000_000_000;
const boots = (...seconds: number[]): BootRecord[] =>
  seconds.map((s) => ({ atEpochMs: NOW_MS, toReadyMs: { Requested: s * 1_000, ModelLoading: s * 900 } }));

test('a weighted quantile is the value where its share of the weight is reached', () => {
  const samples = [
    { value: 10, weight: 1 },
    { value: 20, weight: 1 },
    { value: 30, weight: 8 },
  ];
  expect(weightedQuantile(samples, 0.5)).toBe(30);
  expect(weightedQuantile(samples, 0.1)).toBe(10);
  expect(weightedQuantile([], 0.5)).toBeNull();
});

test.each([
  { name: 'no boot: the prior', seconds: [], p50: 300, p90: 600 },
  { name: 'one boot moves the prior a fifth of the way, by ratio', seconds: [3], p50: 119.4, p90: 207.9 },
  { name: 'five boots speak for themselves', seconds: [100, 100, 100, 100, 200], p50: 100, p90: 200 },
])('cold start, $name', ({ seconds, p50, p90 }) => {
  const learned = coldStart(boots(...seconds), 300_000, NOW_MS);
  expect(learned.p50Ms / 1_000).toBeCloseTo(p50, 0);
  expect(learned.p90Ms / 1_000).toBeCloseTo(p90, 0);
  expect(learned.boots).toBe(seconds.length);
});

test('old boots weigh less than new ones', () => {
  const old = boots(500, 500, 500).map((boot) => ({ ...boot, atEpochMs: NOW_MS - 28 * 86_400_000 }));
  expect(coldStart([...old, ...boots(100, 100)], 300_000, NOW_MS).p50Ms).toBe(100_000);
});

test.each([
  {
    name: 'the boots that took longer from here',
    inPhaseMs: 95_000,
    want: { p50Ms: 85_000, p90Ms: 85_000, overdue: false },
  },
  {
    name: 'none took longer: half of the time so far',
    inPhaseMs: 300_000,
    want: { p50Ms: 165_000, p90Ms: 165_000, overdue: true },
  },
])('what is left of a boot, $name', ({ inPhaseMs, want }) => {
  const replica = { phase: 'ModelLoading' as const, inPhaseMs, sinceRequestedMs: inPhaseMs + 30_000 };
  expect(remainingBoot(boots(100, 100, 100, 100, 200), 300_000, NOW_MS, replica)).toEqual(want);
});

test('with few boots the whole cold start is counted down', () => {
  const replica = { phase: 'ModelLoading' as const, inPhaseMs: 1_000, sinceRequestedMs: 100_000 };
  expect(remainingBoot([], 300_000, NOW_MS, replica)).toEqual({ p50Ms: 200_000, p90Ms: 500_000, overdue: false });
  const late = { ...replica, sinceRequestedMs: 600_000 };
  expect(remainingBoot([], 300_000, NOW_MS, late)).toEqual({ p50Ms: 300_000, p90Ms: 300_000, overdue: true });
  const short = remainingBoot([], 1_000, NOW_MS, { ...replica, sinceRequestedMs: 2_000 });
  expect(short).toEqual({ p50Ms: 1_000, p90Ms: 1_000, overdue: true });
});

test('only the last 50 boots of the last 500 templates are kept', () => {
  let history: BootHistory = new Map();
  for (let index = 0; index < 60; index += 1) history = addBoot(history, 'same', boots(index + 1)[0]!);
  for (let index = 0; index < 550; index += 1) history = addBoot(history, `other-${index}`, boots(1)[0]!);
  history = addBoot(history, 'other-549', boots(2)[0]!);
  expect(history.size).toBe(500);
  expect(history.has('same')).toBe(false);
  expect(history.get('other-549')).toHaveLength(2);
});

function replicaIn(phase: WarmUpPhase, message: string | null = null): TargetReplica {
  return {
    uid: 'a',
    pool: 'default/llama',
    target: 'gpu',
    phase,
    requestedAtEpochMs: NOW_MS,
    phaseSinceEpochMs: NOW_MS,
    readyAtEpochMs: null,
    endpointIds: [],
    message,
    restarts: 0,
    trouble: null,
    removalOrder: null,
    templateHash: 'hash',
    terminating: false,
  };
}

function track(steps: readonly (readonly [WarmUpPhase, number])[]) {
  let tracked: TrackedBoots = new Map();
  return steps.map(([phase, monotonicMs]) => {
    const step = trackBoots(tracked, [replicaIn(phase, phase === 'Stuck' ? 'exit code 1' : null)], {
      monotonicMs,
      epochMs: NOW_MS,
    });
    tracked = step.tracked;
    return step.results;
  });
}

test('a boot is measured from the entry into each phase, once', () => {
  const results = track([
    ['Requested', 0],
    ['ContainerStarted', 100],
    ['ModelLoading', 400],
    ['ModelLoading', 900],
    ['Ready', 5_000],
    ['Ready', 6_000],
    ['Draining', 7_000],
    ['Ready', 8_000],
  ]);
  const toReadyMs = { Requested: 5_000, ContainerStarted: 4_900, ModelLoading: 4_600 };
  expect(results.flat()).toEqual([{ kind: 'ready', templateHash: 'hash', boot: { atEpochMs: NOW_MS, toReadyMs } }]);
});

test('a restart after a crash is a boot of its own, without its back-off', () => {
  const results = track([
    ['Requested', 0],
    ['Ready', 1_000],
    ['Requested', 60_000],
    ['ContainerStarted', 90_000],
    ['Ready', 92_000],
  ]);
  expect(results.flat()).toMatchObject([
    { boot: { toReadyMs: { Requested: 1_000 } } },
    { boot: { toReadyMs: { ContainerStarted: 2_000 } } },
  ]);
  expect(results.flat()[1]).not.toHaveProperty('boot.toReadyMs.Requested');
});

test('a stuck boot is one failure with its message, and a replica first seen ready counts for nothing', () => {
  expect(
    track([
      ['Requested', 0],
      ['Stuck', 1_000],
      ['Stuck', 2_000],
    ]).flat(),
  ).toEqual([{ kind: 'failed', templateHash: 'hash', message: 'exit code 1', reason: null, permanent: false }]);
  expect(
    track([
      ['Ready', 0],
      ['Ready', 1_000],
    ]).flat(),
  ).toEqual([]);
});

/** Observes a total at each second from 0 on. */
function observed(totals: readonly number[]) {
  return totals.reduce((rate, total, second) => observeArrivals(rate, total, second * 1_000), newArrivalRate(0));
}

test('a steady stream is seen at its rate after a minute', () => {
  const rate = observed(Array.from({ length: 400 }, (_, second) => second * 4));
  expect(arrivalRates(rate, 399_000)).toEqual({ perS60: 4, perS300: 4 });
});

test('a burst is no rate', () => {
  const rate = observed(Array.from({ length: 400 }, (_, second) => (second < 200 ? 0 : 2_000)));
  expect(arrivalRates(rate, 205_000)).toEqual({ perS60: 0, perS300: 0 });
  expect(recentPerS(rate, 205_000)).toBeCloseTo(2_000 / 60);
});

test('the end of a stream is seen within a minute by the short window, within five by the long one', () => {
  const rate = observed(Array.from({ length: 420 }, (_, second) => Math.min(second, 300) * 4));
  const { perS60, perS300 } = arrivalRates(rate, 419_000);
  expect(perS60).toBe(0);
  expect(perS300).toBeGreaterThan(1);
});

test('a counter that starts again is a new base, not a negative rate', () => {
  const rate = observed([100, 104, 108, 3, 7]);
  expect(rate.buckets).toEqual([{ startMs: 0, count: 12 }]);
});

test('work is learned only while the pool is busy, and the prior holds until fifty requests', () => {
  const released = (count: number) => demand({ releasedTotal: count, slotMsTotal: count * 2_000 });
  const idle = observeWork(observeWork(newWorkEstimate, released(0), 0.3), released(100), 0.3);
  expect(slotMsPerRequest(idle, 10_000)).toBe(10_000);
  const few = observeWork(observeWork(newWorkEstimate, released(0), 1), released(49), 1);
  expect(slotMsPerRequest(few, 10_000)).toBe(10_000);
  const enough = observeWork(few, released(50), 1);
  expect(slotMsPerRequest(enough, 10_000)).toBe(2_000);
});

test('queued work is estimated by its tokens, as many times the mean as it has, within a factor of four', () => {
  const released = (count: number, costTokens: number) =>
    demand({ releasedTotal: count, slotMsTotal: count * 2_000, releasedCostTokensTotal: count * costTokens });
  const few = observeWork(observeWork(newWorkEstimate, released(0, 0), 1), released(49, 500), 1);
  expect(slotMsPerRequest(few, 10_000, 5_000)).toBe(10_000);
  const enough = observeWork(few, released(100, 500), 1);
  const estimated = (costTokens: number | null) => slotMsPerRequest(enough, 10_000, costTokens);
  expect([estimated(null), estimated(0), estimated(500)]).toEqual([2_000, 2_000, 2_000]);
  expect([estimated(1_000), estimated(250)]).toEqual([4_000, 1_000]);
  expect([estimated(50_000), estimated(1)]).toEqual([8_000, 500]);
  const tokenless = observeWork(observeWork(newWorkEstimate, demand(), 1), released(100, 0), 1);
  expect(slotMsPerRequest(tokenless, 10_000, 1_000)).toBe(2_000);
});

test('newer work outweighs old work', () => {
  let estimate = observeWork(newWorkEstimate, demand(), 1);
  estimate = observeWork(estimate, demand({ releasedTotal: 5_000, slotMsTotal: 5_000_000 }), 1);
  estimate = observeWork(estimate, demand({ releasedTotal: 7_000, slotMsTotal: 5_000_000 + 2_000 * 9_000 }), 1);
  expect(slotMsPerRequest(estimate, 1)).toBeGreaterThan(7_000);
});

test('slot use follows what a full pool uses, with a half-life of ten minutes', () => {
  expect(observeSlotUse(0.8, 0.5, 600_000)).toBe(0.8);
  expect(observeSlotUse(0.8, 1, 600_000)).toBeCloseTo(0.9);
});

test('the window remembers the most that was wanted, and says nothing before it is covered', () => {
  let window = newDownWindow(0);
  window = noteWanted(window, 5, 0, 100_000);
  window = noteWanted(window, 2, 50_000, 100_000);
  expect(windowMaxPods(window, 99_000, 100_000)).toBeNull();
  expect(windowMaxPods(window, 100_000, 100_000)).toBe(5);
  window = noteWanted(window, 1, 120_000, 100_000);
  expect(windowMaxPods(window, 120_000, 100_000)).toBe(2);
});
