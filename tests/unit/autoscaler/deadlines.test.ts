import { describe, expect, test } from 'vitest';
import { deadlinePods, deadlineWork } from '../../../src/autoscaler/policy/deadline.ts';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import type { ObjectiveView, ReplicaView } from '../../../src/autoscaler/policy/snapshot.ts';
import { dueView, objectiveView, ready, replicaView, snapshot } from './support/builders.ts';

// One pod: 32 slots, all busy when full; a cold start of 300 s, 390 s at the 90th percentile.
const S = 1_000;
const HOUR = 3_600 * S;
const SIX_O_CLOCK = Date.UTC(2026, 10, 23, 6);

/** A batch that was given ten hours until six o'clock and has `rows` left, `leftMs` before it. */
function batch(rows: number, leftMs: number, rowMs: number, over: Partial<ObjectiveView> = {}): ObjectiveView {
  return objectiveView({
    name: 'nightly',
    priority: -10,
    activation: 'Scheduled',
    queued: rows,
    oldestAgeMs: 10 * HOUR - leftMs,
    slotMsPerRequest: rowMs,
    due: [dueView(rows, leftMs, { slotMs: rows * rowMs, windowMs: 10 * HOUR, deadlineEpochMs: SIX_O_CLOCK })],
    ...over,
  });
}

describe('200,000 rows due at six o’clock on a pool at zero', () => {
  // 200,000 × 2 s / 32 slots = 12,500 s on one pod, 13,750 s with 10 % more; + 390 s boot + 60 s guard + 1,080 s reserve.
  const latestStartS = 13_750 + 390 + 60 + 1_080;

  test('start just in time for one replica, and the decision names the deadline', () => {
    const before = decide(snapshot({ objectives: [batch(200_000, (latestStartS + 1) * S, 2 * S)] }));
    expect(before).toMatchObject({ rule: 'asleep', toZero: false, desired: {} });
    expect(before.reviewInMs).toBeCloseTo(1_000);
    const then = decide(snapshot({ objectives: [batch(200_000, latestStartS * S, 2 * S)] }));
    expect(then).toMatchObject({ rule: 'latest-safe-start', desired: { gpu: 1 } });
    expect(then.sentence).toBe(
      'goes from 0 to 1: 200000 requests of objective nightly are due at 2026-11-23T06:00:00Z, in 4h 14m: ' +
        'a later start would be too late',
    );
  });

  test('start at once with as many replicas as it takes, if one would be too late already', () => {
    // 5.5 million slot-seconds with the margin, in 36,000 − 1,080 − 390 s: 4.98 pods.
    const decision = decide(snapshot({ objectives: [batch(200_000, 10 * HOUR, 25 * S)] }));
    expect(decision).toMatchObject({ rule: 'latest-safe-start', desired: { gpu: 5 }, components: { deadline: 5 } });
  });

  test('of an objective that may be batched are worth a boot at once, and are given the time they have', () => {
    const objectives = [batch(200_000, 10 * HOUR, 25 * S, { activation: 'Batched', maxWaitMs: 24 * HOUR })];
    expect(decide(snapshot({ objectives }))).toMatchObject({ desired: { gpu: 5 }, components: { backlog: 0 } });
    const undated = [{ ...objectives[0]!, due: [], maxWaitMs: HOUR }];
    expect(decide(snapshot({ objectives: undated })).components.backlog).toBe(20);
  });

  test('of an immediate objective wake the pool now and may not wait for their deadline', () => {
    const objectives = [batch(200_000, 10 * HOUR, 2 * S, { activation: 'Immediate' })];
    const decision = decide(snapshot({ objectives }));
    expect(decision.rule).toBe('immediate');
    expect(decision.components.backlog).toBeGreaterThan(decision.components.deadline);
  });

  test.each([
    { name: 'as estimated', rowMs: 25 * S, most: 5 },
    { name: 'a fifth slower than estimated', rowMs: 30 * S, most: 8 },
  ])('are done before it when rows are $name', ({ rowMs, most }) => {
    const run = playBatch({ rows: 200_000, estimatedMs: 25 * S, rowMs });
    expect(run.leftRows).toBe(0);
    expect(run.doneLeftMs).toBeGreaterThan(0);
    expect(run.mostPods).toBeLessThanOrEqual(most);
  });
});

/** The batch in steps of a minute: pods as decided, each up 300 s after its order, all rows as fast as slots allow. */
function playBatch({ rows, estimatedMs, rowMs }: { rows: number; estimatedMs: number; rowMs: number }) {
  const stepMs = 60 * S;
  let [leftRows, mostPods] = [rows, 0];
  let pods: { readonly uid: string; readonly upMs: number }[] = [];
  for (let nowMs = 0; nowMs < 10 * HOUR; nowMs += stepMs) {
    const up = pods.filter(({ upMs }) => upMs <= nowMs);
    const running = Math.min(leftRows, 32 * up.length);
    const view = batch(leftRows - running, 10 * HOUR - nowMs, estimatedMs);
    const due = [{ ...view.due[0]!, requests: leftRows, slotMs: leftRows * estimatedMs }];
    const replicas = pods.map(({ uid, upMs }): ReplicaView => {
      if (upMs <= nowMs) return replicaView({ uid, usedSlots: 32 });
      const left = upMs - nowMs;
      return replicaView({ uid, phase: 'ModelLoading', remaining: { p50Ms: left, p90Ms: left, overdue: false } });
    });
    const history = {
      windowMaxPods: null,
      sinceUpMs: 60 * S,
      sinceDownMs: Number.POSITIVE_INFINITY,
      guestsOwed: false,
    };
    const decision = decide(snapshot({ nowMs, objectives: [{ ...view, running, due }], replicas, history }));
    const wanted = decision.desired['gpu'] ?? 0;
    const ordered = Array.from({ length: wanted - pods.length }, (_, index) => ({
      uid: `replica-${pods.length + index}`,
      upMs: nowMs + 300 * S,
    }));
    pods = [...pods, ...ordered];
    mostPods = Math.max(mostPods, pods.length);
    leftRows = Math.max(0, leftRows - (up.length * 32 * stepMs) / rowMs);
    if (leftRows === 0) return { leftRows, mostPods, doneLeftMs: 10 * HOUR - nowMs - stepMs };
  }
  return { leftRows, mostPods, doneLeftMs: 0 };
}

describe('several deadlines', () => {
  test('do not count on the same time: two batches start earlier than each of them would alone', () => {
    const alone = batch(50_000, 2 * HOUR, 2 * S);
    expect(decide(snapshot({ objectives: [alone] })).rule).toBe('asleep');
    const other = { ...batch(50_000, 2 * HOUR + 60 * S, 2 * S), name: 'weekly' };
    const both = decide(snapshot({ objectives: [alone, other] }));
    expect(both.rule).toBe('latest-safe-start');
    expect(both.sentence).toContain('objective weekly');
  });

  test('of one objective are met in order, the near one with more replicas than the far one needs', () => {
    const due = [dueView(20_000, 2 * HOUR), dueView(20_000, 20 * HOUR)];
    const near = decide(snapshot({ objectives: [objectiveView({ activation: 'Scheduled', queued: 40_000, due })] }));
    expect(near.components.deadline).toBe(3);
    const far = [objectiveView({ activation: 'Scheduled', queued: 20_000, due: due.slice(1) })];
    expect(decide(snapshot({ objectives: far, replicas: ready(1) })).components.deadline).toBe(1);
  });

  test('that are lost only together add no replica, and do not stand in the way of one that can be met', () => {
    const due = Array.from({ length: 30 }, (_, index) => dueView(30, 300 * S + index * S));
    const lost = [objectiveView({ name: 'nightly', activation: 'Scheduled', queued: 900, running: 0, due })];
    const one = decide(snapshot({ objectives: lost, replicas: ready(1) }));
    expect(one.components).toMatchObject({ deadline: 1 });
    expect(one.components.infeasibleDeadlines).toBeGreaterThan(0);
    const later = { ...lost[0]!, queued: 10_900, due: [...due, dueView(10_000, 2 * HOUR)] };
    expect(decide(snapshot({ objectives: [later], replicas: ready(1) })).components.deadline).toBe(2);
  });

  test('are met by more replicas while the pool is up, and the decision names the first that would be late', () => {
    const due = [dueView(1_000, HOUR), dueView(20_000, 2 * HOUR, { deadlineEpochMs: SIX_O_CLOCK })];
    const objectives = [objectiveView({ name: 'nightly', activation: 'Scheduled', queued: 21_000, due })];
    const decision = decide(snapshot({ objectives, replicas: ready(1) }));
    expect(decision).toMatchObject({ rule: 'deadline', components: { infeasibleDeadlines: 0 } });
    expect(decision.sentence).toContain(
      '20000 requests of objective nightly are due at 2026-11-23T06:00:00Z, in 2h, and would be late with fewer',
    );
  });
});

test('replicas that dated work keeps busy are kept, though fewer would do; the last minute of it keeps none', () => {
  const view = (rows: number) => {
    const objectives = [objectiveView({ activation: 'Scheduled', queued: rows, due: [dueView(rows, 9 * HOUR)] })];
    const decision = decide(snapshot({ objectives, replicas: ready(4) }));
    return { rule: decision.rule, desired: decision.desired, toFall: decision.components.wantedToFall };
  };
  expect(view(10_000)).toEqual({ rule: 'steady', desired: { gpu: 4 }, toFall: 4 });
  // 4 × 32 slots do 307 requests of 25 s in a minute.
  expect(view(306)).toEqual({ rule: 'scale-down', desired: { gpu: 3 }, toFall: 1 });
});

test('replicas are kept while a deadline to come cannot be met, for fewer would miss it by more', () => {
  const view = (deadlineInMs: number) => {
    // More than 4 × 32 slots do in the time, and less than a minute of work.
    const due = [dueView(250, deadlineInMs, { windowMs: 100 * S })];
    const objectives = [objectiveView({ activation: 'Batched', queued: 250, due })];
    return decide(snapshot({ objectives, replicas: ready(4) })).components;
  };
  expect(view(40 * S)).toMatchObject({ infeasibleDeadlines: 1, deadline: 0, wanted: 0, wantedToFall: 4 });
  expect(view(2 * S)).toMatchObject({ infeasibleDeadlines: 1, wantedToFall: 4 });
  expect(view(-1 * S)).toMatchObject({ wantedToFall: 0 });
});

test('work whose deadline has passed wakes nobody', () => {
  const due = [dueView(5, -1, { windowMs: HOUR })];
  const objectives = [objectiveView({ activation: 'Scheduled', queued: 5, due })];
  expect(decide(snapshot({ objectives })).rule).toBe('asleep');
});

test('what runs is taken to be due first, and half done', () => {
  const due = [dueView(10, HOUR), dueView(10, 2 * HOUR)];
  const slots = (running: number) =>
    deadlineWork([objectiveView({ queued: 20 - running, running, due })]).map(({ slotMs }) => slotMs / 25_000);
  expect(slots(0)).toEqual([10, 10]);
  expect(slots(4)).toEqual([8, 10]);
  expect(slots(20)).toEqual([0, 10]);
});

test('scheduled work without a deadline waits for its age, and with one does not', () => {
  const old = { activation: 'Scheduled' as const, queued: 10, oldestAgeMs: HOUR, maxWaitMs: HOUR };
  expect(decide(snapshot({ objectives: [objectiveView(old)] })).rule).toBe('age');
  const dated = objectiveView({ ...old, due: [dueView(10, 9 * HOUR, { windowMs: 10 * HOUR })] });
  expect(decide(snapshot({ objectives: [dated] })).rule).toBe('asleep');
  expect(decide(snapshot({ objectives: [{ ...dated, queued: 11 }] })).rule).toBe('age');
});

test('a deadline that existing pods meet with all that is due before it asks for no pod', () => {
  const pods = [{ target: 'gpu', rate: 32, availableInMs: 0 }];
  const work = [1, 2, 3].map((hour) => ({ dueInMs: hour * HOUR, slotMs: (32 * HOUR) / 1.1 }));
  expect(deadlinePods(pods, 1, work)).toEqual({ pods: 1, infeasible: 0, late: null });
});
