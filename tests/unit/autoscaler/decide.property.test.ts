import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import { desiredTotal } from '../../../src/autoscaler/policy/decision.ts';
import { plan } from '../../../src/autoscaler/policy/plan.ts';
import { isLive } from '../../../src/autoscaler/policy/pod-order.ts';
import type { ObjectiveView, ReplicaView, Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import { objectiveView, replicaView, scale, snapshot, targetView } from './support/builders.ts';

const objective: fc.Arbitrary<ObjectiveView> = fc
  .record({
    activation: fc.constantFrom('Immediate' as const, 'Batched' as const, 'Scheduled' as const),
    queued: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50_000 })),
    running: fc.integer({ min: 0, max: 200 }),
    slotMsPerRequest: fc.integer({ min: 1, max: 300_000 }),
    perS60: fc.double({ min: 0, max: 50, noNaN: true }),
    perS300: fc.double({ min: 0, max: 50, noNaN: true }),
    maxWaitMs: fc.integer({ min: 1, max: 86_400_000 }),
    defaultDeadlineMs: fc.option(fc.integer({ min: 1_000, max: 86_400_000 })),
    ageMs: fc.integer({ min: 0, max: 86_400_000 }),
  })
  .map(({ ageMs, ...rest }) => objectiveView({ ...rest, oldestAgeMs: rest.queued > 0 ? ageMs : null }));

const target = (name: string) =>
  fc
    .record({
      minReplicas: fc.integer({ min: 0, max: 2 }),
      extra: fc.integer({ min: 0, max: 12 }),
      slots: fc.integer({ min: 1, max: 64 }),
      p50Ms: fc.integer({ min: 100, max: 900_000 }),
      spread: fc.double({ min: 1, max: 3, noNaN: true }),
      boots: fc.constantFrom(0, 20),
      failures: fc.constantFrom(0, 0, 1, 3),
    })
    .map(({ extra, p50Ms, spread, boots, failures, ...rest }) =>
      targetView({
        name,
        ...rest,
        maxReplicas: rest.minReplicas + extra,
        coldStart: { p50Ms, p90Ms: p50Ms * spread, boots },
        breaker: { failures, retryAtMs: failures >= 3 ? 10_030_000 : null, message: null },
      }),
    );

const replica: fc.Arbitrary<ReplicaView> = fc
  .record({
    uid: fc.uuid(),
    target: fc.constantFrom('spot', 'on-demand'),
    phase: fc.constantFrom(
      'Requested' as const,
      'ModelLoading' as const,
      'Ready' as const,
      'Draining' as const,
      'Stuck' as const,
    ),
    terminating: fc.boolean(),
    leftMs: fc.integer({ min: 0, max: 900_000 }),
    usedSlots: fc.integer({ min: 0, max: 32 }),
  })
  .map(({ leftMs, ...rest }) => {
    const isBooting = rest.phase === 'Requested' || rest.phase === 'ModelLoading';
    const remaining = isBooting ? { p50Ms: leftMs, p90Ms: leftMs, overdue: false } : null;
    return replicaView({ ...rest, remaining, terminating: rest.terminating && rest.phase === 'Draining' });
  });

const world: fc.Arbitrary<Snapshot> = fc
  .record({
    targets: fc.tuple(target('spot'), target('on-demand')),
    objectives: fc.array(objective, { maxLength: 3 }),
    replicas: fc.uniqueArray(replica, { maxLength: 10, selector: ({ uid }) => uid }),
    usedRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    idleMs: fc.integer({ min: 0, max: 2_000_000 }),
    windowMaxPods: fc.option(fc.integer({ min: 0, max: 30 })),
    sinceStepMs: fc.integer({ min: 0, max: 200_000 }),
    maxBootsInFlight: fc.integer({ min: 1, max: 10 }),
  })
  .map(({ windowMaxPods, sinceStepMs, maxBootsInFlight, ...rest }) =>
    snapshot({
      ...rest,
      noDemandMs: rest.idleMs,
      scale: { ...scale, maxBootsInFlight },
      history: { windowMaxPods, sinceUpMs: sinceStepMs, sinceDownMs: sinceStepMs },
    }),
  );

// Shrinking whole snapshots takes minutes; the counterexample is printed as it is.
const options = { numRuns: 2_000, endOnFailure: true };
const liveOf = (given: Snapshot, name?: string): number =>
  given.replicas.filter((candidate) => isLive(candidate) && (name === undefined || candidate.target === name)).length;

/** The snapshot after the ordered replicas exist and the marked ones drain. */
function afterActing(given: Snapshot): Snapshot {
  const todo = plan(decide(given), given);
  const started = [...todo.start].flatMap(([name, count]) =>
    Array.from({ length: count }, (_, index) => {
      const coldStart = given.targets.find((candidate) => candidate.name === name)?.coldStart;
      const leftMs = { p50Ms: coldStart?.p50Ms ?? 0, p90Ms: coldStart?.p90Ms ?? 0, overdue: false };
      return replicaView({
        uid: `new-${name}-${index}`,
        target: name,
        phase: 'Requested',
        remaining: leftMs,
        sinceRequestedMs: 0,
      });
    }),
  );
  const existing = given.replicas.map((one): ReplicaView => {
    if (todo.stop.includes(one.uid)) return { ...one, phase: 'Draining', terminating: true, remaining: null };
    if (todo.drain.includes(one.uid)) return { ...one, phase: 'Draining' };
    return todo.undrain.includes(one.uid) ? { ...one, phase: 'Ready' } : one;
  });
  return { ...given, replicas: [...existing, ...started] };
}

test('no target is ever asked for more than its maximum, or ordered beyond it', () => {
  fc.assert(
    fc.property(world, (given) => {
      const decision = decide(given);
      const todo = plan(decision, given);
      for (const { name, maxReplicas } of given.targets) {
        const existing = given.replicas.filter((one) => one.target === name).length;
        expect(decision.desired[name] ?? 0).toBeLessThanOrEqual(Math.max(maxReplicas, liveOf(given, name)));
        expect(existing + (todo.start.get(name) ?? 0)).toBeLessThanOrEqual(Math.max(maxReplicas, existing));
      }
    }),
    options,
  );
});

test('no more than maxInFlight replicas boot because of a decision', () => {
  fc.assert(
    fc.property(world, (given) => {
      const booting = given.replicas.filter((one) => isLive(one) && one.phase !== 'Ready').length;
      const ordered = [...plan(decide(given), given).start.values()].reduce((sum, count) => sum + count, 0);
      expect(ordered === 0 || booting + ordered <= given.scale.maxBootsInFlight).toBe(true);
    }),
    options,
  );
});

// Without deadlines: more work can make one impossible to meet, and no replica is added for a lost deadline.
test('more queued work never asks for fewer replicas', () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 1, max: 50_000 }), (given, more) => {
      const [first, ...others] = given.objectives;
      if (first === undefined) return;
      const timeless = [first, ...others].map((one) => ({ ...one, defaultDeadlineMs: null }));
      const busier = timeless.map((one, index) => (index === 0 ? { ...one, queued: one.queued + more } : one));
      const before = decide({ ...given, objectives: timeless }).components;
      const after = decide({ ...given, objectives: busier }).components;
      expect(after.wanted).toBeGreaterThanOrEqual(before.wanted);
    }),
    options,
  );
});

test('what is on its way is not ordered a second time', () => {
  fc.assert(
    fc.property(world, (given) => {
      // Replicas beyond a lowered maximum leave first; the next look orders.
      fc.pre(decide(given).rule !== 'max');
      const acted = afterActing(given);
      const again = plan(decide(acted), acted);
      expect([...again.start.values()].reduce((sum, count) => sum + count, 0)).toBe(0);
    }),
    options,
  );
});

test('one look never both starts replicas of a target and drains others of it', () => {
  fc.assert(
    fc.property(world, (given) => {
      const todo = plan(decide(given), given);
      const drained = new Set(given.replicas.filter(({ uid }) => todo.drain.includes(uid)).map((one) => one.target));
      expect([...todo.start.keys()].filter((name) => drained.has(name))).toEqual([]);
    }),
    options,
  );
});

test('nothing goes to zero or is given up while work is queued or running', () => {
  fc.assert(
    fc.property(world, (given) => {
      const decision = decide(given);
      const isDemanded = given.objectives.some(({ queued, running }) => queued + running > 0);
      expect(isDemanded && (decision.toZero || decision.abandon.length > 0)).toBe(false);
    }),
    options,
  );
});

test('without demand and minReplicas, every pool is at zero in the end', () => {
  fc.assert(
    fc.property(world, (given) => {
      const idle: Snapshot = {
        ...given,
        objectives: [],
        idleMs: 1e9,
        noDemandMs: 1e9,
        targets: given.targets.map((one) => ({ ...one, minReplicas: 0 })),
        history: { windowMaxPods: 0, sinceUpMs: 1e9, sinceDownMs: 1e9 },
        replicas: given.replicas.map((one) => (isLive(one) ? { ...one, phase: 'Ready', remaining: null } : one)),
      };
      expect(liveOf(idle) === 0 || decide(idle).rule === 'max' || decide(idle).toZero).toBe(true);
    }),
    options,
  );
});

test('a decision always says something, and when to look again', () => {
  fc.assert(
    fc.property(world, (given) => {
      const decision = decide(given);
      expect(decision.sentence.length).toBeGreaterThan(10);
      expect(decision.reviewInMs).toBeGreaterThanOrEqual(20);
      expect(decision.reviewInMs).toBeLessThanOrEqual(10_000);
      expect(desiredTotal(decision)).toBeGreaterThanOrEqual(0);
    }),
    options,
  );
});
