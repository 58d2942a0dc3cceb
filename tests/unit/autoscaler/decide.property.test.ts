import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import { desiredTotal } from '../../../src/autoscaler/policy/decision.ts';
import { isBlocked, noOrderWhy } from '../../../src/autoscaler/policy/holds.ts';
import { noPeopleOrders } from '../../../src/autoscaler/policy/people-orders.ts';
import { plan } from '../../../src/autoscaler/policy/plan.ts';
import { isLive } from '../../../src/autoscaler/policy/pod-order.ts';
import type { DueView, ObjectiveView, ReplicaView, Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import { BOOT_TROUBLES, type BootTrouble } from '../../../src/core/replicas.ts';
import { dueView, objectiveView, replicaView, scale, snapshot, targetView } from './support/builders.ts';

const due: fc.Arbitrary<DueView> = fc
  .tuple(fc.integer({ min: 1, max: 50_000 }), fc.integer({ min: -60_000, max: 86_400_000 }), fc.nat(86_400_000))
  .map(([requests, inMs, agoMs]) => dueView(requests, inMs, { windowMs: Math.max(0, inMs + agoMs) }));

const objective: fc.Arbitrary<ObjectiveView> = fc
  .record({
    activation: fc.constantFrom('Immediate' as const, 'Batched' as const, 'Scheduled' as const),
    queued: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50_000 })),
    running: fc.integer({ min: 0, max: 200 }),
    slotMsPerRequest: fc.integer({ min: 1, max: 300_000 }),
    perS60: fc.double({ min: 0, max: 50, noNaN: true }),
    perS300: fc.double({ min: 0, max: 50, noNaN: true }),
    maxWaitMs: fc.integer({ min: 1, max: 86_400_000 }),
    due: fc.array(due, { maxLength: 4 }),
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
      noUpWhy: fc.constantFrom(null, null, null, 'an HPA scales it'),
      noDownWhy: fc.constantFrom(null, null, null, 'it is rolling out'),
      rollsItself: fc.boolean(),
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

const trouble: fc.Arbitrary<BootTrouble> = fc.record({
  kind: fc.constantFrom(...BOOT_TROUBLES),
  message: fc.constant('what the cluster said'),
  permanent: fc.boolean(),
  blocksOrders: fc.boolean(),
});

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
    trouble: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: trouble }),
    templateHash: fc.constantFrom('hash', 'hash', 'hash', 'older'),
    sinceRequestedMs: fc.integer({ min: 0, max: 1_000_000 }),
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
    ordered: fc.boolean(),
    wakeReplicas: fc.constantFrom(0, 0, 0, 1, 4),
    isDrained: fc.constantFrom(false, false, false, false, true),
  })
  .map(({ windowMaxPods, sinceStepMs, maxBootsInFlight, ordered, wakeReplicas, isDrained, replicas, ...rest }) =>
    snapshot({
      ...rest,
      replicas: ordered ? replicas.map((one, index) => ({ ...one, removalOrder: index })) : replicas,
      orders: {
        ...noPeopleOrders,
        wakeReplicas: isDrained ? 0 : wakeReplicas,
        wakeLeftMs: isDrained || wakeReplicas === 0 ? null : 600_000,
        drainLeftMs: isDrained ? 600_000 : null,
      },
      noDemandMs: rest.idleMs,
      scale: { ...scale, maxBootsInFlight },
      history: { windowMaxPods, sinceUpMs: sinceStepMs, sinceDownMs: sinceStepMs, guestsOwed: false },
    }),
  );

// Shrinking whole snapshots takes minutes; the counterexample is printed as it is.
const options = { numRuns: 2_000, endOnFailure: true };
const liveOf = (given: Snapshot, name?: string): number =>
  given.replicas.filter((candidate) => isLive(candidate) && (name === undefined || candidate.target === name)).length;

const heldTargets = (given: Snapshot): string[] =>
  given.targets.filter((one) => noOrderWhy(one, given.replicas) !== null).map(({ name }) => name);

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
      const known = new Map(given.targets.map((one) => [one.name, one]));
      const booting = given.replicas.filter(
        (one) => isLive(one) && one.phase !== 'Ready' && !isBlocked(one, known.get(one.target)),
      ).length;
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
      const timeless = [first, ...others].map((one) => ({ ...one, due: [] }));
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
    fc.property(world, (any) => {
      // A replica with an older command leaves so that another one is ordered.
      const given = { ...any, replicas: any.replicas.map((one) => ({ ...one, templateHash: 'hash' })) };
      // Replicas beyond a lowered maximum leave first; the next look orders.
      fc.pre(decide(given).rule !== 'max');
      const acted = afterActing(given);
      // A target whose blocked replica leaves takes orders again: that is another situation.
      fc.pre(heldTargets(acted).join() === heldTargets(given).join());
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

test('a target that takes no order gets none', () => {
  fc.assert(
    fc.property(world, (given) => {
      const todo = plan(decide(given), given);
      for (const one of given.targets.filter((held) => noOrderWhy(held, given.replicas) !== null)) {
        expect(todo.start.get(one.name) ?? 0).toBe(0);
      }
    }),
    options,
  );
});

test('nothing is drained, ended or closed of a target that gives nothing away', () => {
  fc.assert(
    fc.property(world, (given) => {
      const decision = decide(given);
      const todo = plan(decision, given);
      const held = new Set(given.targets.filter(({ noDownWhy }) => noDownWhy !== null).map(({ name }) => name));
      const leaving = [...todo.drain, ...todo.stop];
      const wrong = given.replicas.filter((one) => held.has(one.target) && leaving.includes(one.uid));
      expect(wrong).toEqual([]);
      const isUp = given.replicas.some((one) => held.has(one.target) && !one.terminating);
      expect(decision.toZero && isUp).toBe(false);
    }),
    options,
  );
});

test('of a workload with an order of its own the highest replicas leave first', () => {
  fc.assert(
    fc.property(world, (given) => {
      const todo = plan(decide(given), given);
      const leaving = new Set([...todo.drain, ...todo.stop]);
      for (const { name } of given.targets) {
        const live = given.replicas.filter((one) => one.target === name && isLive(one) && one.removalOrder !== null);
        const going = live.filter(({ uid }) => leaving.has(uid));
        const staying = live.filter(({ uid }) => !leaving.has(uid));
        const current = given.targets.find((one) => one.name === name);
        // A changed command is replaced one by one, wherever the old one stands.
        if (going.some(({ templateHash }) => templateHash !== current?.templateHash)) continue;
        const lowestGoing = Math.min(...going.map(({ removalOrder }) => removalOrder ?? 0), Number.POSITIVE_INFINITY);
        expect(staying.filter(({ removalOrder }) => (removalOrder ?? 0) > lowestGoing)).toEqual([]);
      }
    }),
    options,
  );
});

test('a drain order leaves nothing that may be taken away, and starts nothing', () => {
  fc.assert(
    fc.property(world, (given) => {
      const drained = { ...given, orders: { ...noPeopleOrders, drainLeftMs: 60_000 } };
      const decision = decide(drained);
      const todo = plan(decision, drained);
      expect({ rule: decision.rule, starts: todo.start.size, undrains: todo.undrain }).toEqual({
        rule: 'drained',
        starts: 0,
        undrains: [],
      });
      const held = new Set(given.targets.filter(({ noDownWhy }) => noDownWhy !== null).map(({ name }) => name));
      const left = given.replicas.filter((one) => isLive(one) && !held.has(one.target));
      expect(left.filter(({ uid }) => !todo.drain.includes(uid) && !todo.stop.includes(uid))).toEqual([]);
    }),
    options,
  );
});

test('paused by people or by the policy, nothing is planned', () => {
  fc.assert(
    fc.property(world, (given) => {
      const paused = { ...given, orders: { ...given.orders, paused: true } };
      expect(plan(decide(paused), paused)).toEqual({ undrain: [], start: new Map(), drain: [], stop: [] });
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
        targets: given.targets.map((one) => ({ ...one, minReplicas: 0, noDownWhy: null })),
        orders: noPeopleOrders,
        history: { windowMaxPods: 0, sinceUpMs: 1e9, sinceDownMs: 1e9, guestsOwed: false },
        replicas: given.replicas.map((one) =>
          isLive(one) ? { ...one, phase: 'Ready', remaining: null, trouble: null } : one,
        ),
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
