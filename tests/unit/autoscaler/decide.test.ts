import { expect, test } from 'vitest';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import { desiredTotal } from '../../../src/autoscaler/policy/decision.ts';
import type { Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import {
  booting,
  dueView,
  objectiveView,
  ready,
  replicaView,
  scale,
  snapshot,
  targetView,
} from './support/builders.ts';

const queued = (count: number) => [objectiveView({ queued: count, oldestAgeMs: 1_000 })];
const batched = (count: number) => [
  objectiveView({ name: 'nightly', activation: 'Batched', queued: count, oldestAgeMs: 1_000 }),
];
const open = { failures: 3, retryAtMs: 10_060_000, message: 'exit code 1' };
const never = { p50Ms: 300_000, p90Ms: 600_000, boots: 0 };

interface Row {
  readonly name: string;
  readonly given: Partial<Snapshot>;
  readonly rule: string;
  readonly total: number;
  readonly says?: string;
}

const rows: readonly Row[] = [
  // From zero.
  { name: 'an empty pool sleeps', given: {}, rule: 'asleep', total: 0, says: 'stays at zero: nothing is queued' },
  {
    name: 'one request that must not wait wakes one replica',
    given: { objectives: queued(1) },
    rule: 'immediate',
    total: 1,
  },
  {
    name: 'a burst wakes as many as drain it in time',
    given: { objectives: queued(2_000) },
    rule: 'immediate',
    total: 6,
  },
  {
    name: 'maxReplicas bounds a burst',
    given: { objectives: queued(2_000), targets: [targetView({ maxReplicas: 2 })] },
    rule: 'immediate',
    total: 2,
  },
  {
    name: 'at most maxInFlight replicas boot at once',
    given: { objectives: queued(20_000), scale: { ...scale, maxBootsInFlight: 3 } },
    rule: 'immediate',
    total: 3,
    says: 'boot.maxInFlight',
  },
  {
    name: 'a command that never booted is tried alone',
    given: { objectives: queued(2_000), targets: [targetView({ coldStart: never })] },
    rule: 'immediate',
    total: 1,
    says: 'tried alone',
  },
  {
    name: 'a command whose last boot failed is tried alone',
    given: {
      objectives: queued(2_000),
      targets: [targetView({ breaker: { failures: 1, retryAtMs: null, message: 'x' } })],
    },
    rule: 'immediate',
    total: 1,
  },
  {
    name: 'an open breaker starts nothing and says when it will',
    given: { objectives: queued(1), targets: [targetView({ breaker: open })] },
    rule: 'no-capacity',
    total: 0,
    says: 'tries one in 1m',
  },
  {
    name: 'an open breaker tries one replica after its back-off',
    given: { objectives: queued(2_000), targets: [targetView({ breaker: { ...open, retryAtMs: 9_999_999 } })] },
    rule: 'immediate',
    total: 1,
  },
  {
    name: 'few batched requests are not worth a boot',
    given: { objectives: batched(767) },
    rule: 'asleep',
    total: 0,
    says: '767 queued requests are not yet worth a boot',
  },
  {
    name: 'break-even wakes one replica for batched requests',
    given: { objectives: batched(768) },
    rule: 'economics',
    total: 1,
  },
  {
    name: 'the age limit wakes for a single batched request',
    given: {
      objectives: [objectiveView({ activation: 'Batched', queued: 1, maxWaitMs: 60_000, oldestAgeMs: 60_000 })],
    },
    rule: 'age',
    total: 1,
  },
  {
    name: 'scheduled work waits for its age',
    given: { objectives: [objectiveView({ activation: 'Scheduled', queued: 5_000, oldestAgeMs: 1_000 })] },
    rule: 'asleep',
    total: 0,
  },
  {
    name: 'scheduled work starts at its latest safe start',
    given: {
      objectives: [
        objectiveView({
          activation: 'Scheduled',
          queued: 1,
          maxWaitMs: 1e9,
          due: [dueView(1, 700_000, { windowMs: 3_600_000 })],
          oldestAgeMs: 2_900_000,
        }),
      ],
    },
    rule: 'latest-safe-start',
    total: 1,
  },
  {
    name: 'minReplicas are started without work',
    given: { targets: [targetView({ minReplicas: 2 })] },
    rule: 'min',
    total: 2,
  },
  {
    name: 'the preferred target is used first',
    given: { objectives: queued(2_000), targets: [targetView({ name: 'spot', maxReplicas: 4 }), targetView()] },
    rule: 'immediate',
    total: 6,
  },
  {
    name: 'replicas that are still ending take the room of new ones',
    given: {
      objectives: queued(1),
      targets: [targetView({ maxReplicas: 1 })],
      replicas: [replicaView({ phase: 'Draining', terminating: true })],
    },
    rule: 'no-capacity',
    total: 0,
  },
  // While replicas exist.
  {
    name: 'work on the way is not ordered twice',
    given: { objectives: queued(2_000), replicas: [1, 2, 3, 4, 5, 6].map((n) => booting(`b${n}`, 100_000)) },
    rule: 'steady',
    total: 6,
  },
  {
    name: 'boots that are late are made up for',
    given: { objectives: queued(2_000), replicas: [1, 2, 3].map((n) => booting(`b${n}`, 600_000)) },
    rule: 'backlog',
    total: 8,
  },
  {
    name: 'sustained arrivals add replicas',
    given: { objectives: [objectiveView({ perS60: 4, perS300: 1, queued: 1, running: 32 })], replicas: ready(1) },
    rule: 'rate',
    total: 4,
  },
  {
    name: 'arrivals that find free slots add none',
    given: { objectives: [objectiveView({ perS60: 4, perS300: 4, running: 10 })], replicas: ready(2), usedRatio: 0.2 },
    rule: 'steady',
    total: 2,
  },
  {
    name: 'work that would end before a new replica is up adds none',
    given: { objectives: queued(100), replicas: ready(1) },
    rule: 'steady',
    total: 1,
  },
  {
    name: 'a replica marked to drain is taken back first',
    given: { objectives: queued(1), replicas: [replicaView({ phase: 'Draining' })] },
    rule: 'backlog',
    total: 1,
  },
  {
    name: 'at maxReplicas it says so',
    given: { objectives: queued(9_000), replicas: ready(2), targets: [targetView({ maxReplicas: 2 })] },
    rule: 'steady',
    total: 2,
    says: 'stays at 2: maxReplicas',
  },
  {
    name: 'a lowered maxReplicas takes effect at once',
    given: { replicas: ready(3), targets: [targetView({ maxReplicas: 2 })] },
    rule: 'max',
    total: 2,
  },
  {
    name: 'fewer than needed for the whole window go one step',
    given: { replicas: ready(8), objectives: [objectiveView({ running: 3 })] },
    rule: 'scale-down',
    total: 6,
  },
  {
    name: 'fewer within an uncovered window stay',
    given: {
      replicas: ready(8),
      objectives: [objectiveView({ running: 3 })],
      history: { windowMaxPods: null, sinceUpMs: 1e9, sinceDownMs: 1e9, guestsOwed: false },
    },
    rule: 'steady',
    total: 8,
  },
  {
    name: 'the window maximum bounds a step',
    given: {
      replicas: ready(8),
      objectives: [objectiveView({ running: 3 })],
      history: { windowMaxPods: 7, sinceUpMs: 1e9, sinceDownMs: 1e9, guestsOwed: false },
    },
    rule: 'scale-down',
    total: 7,
  },
  {
    name: 'no step down right after one up',
    given: {
      replicas: ready(8),
      objectives: [objectiveView({ running: 3 })],
      history: { windowMaxPods: 1, sinceUpMs: 59_000, sinceDownMs: 1e9, guestsOwed: false },
    },
    rule: 'steady',
    total: 8,
  },
  {
    name: 'no step down while a replica boots',
    given: { replicas: [...ready(3), booting('b', 10_000)], objectives: [objectiveView({ running: 3 })] },
    rule: 'steady',
    total: 4,
  },
  {
    name: 'the last replica stays while it is kept warm',
    given: { replicas: ready(1), idleMs: 299_000 },
    rule: 'steady',
    total: 1,
    says: 'idle for 4m 59s of the 5m',
  },
  {
    name: 'idle as long as it is kept warm goes to zero',
    given: { replicas: ready(1), idleMs: 300_000 },
    rule: 'idle',
    total: 0,
  },
  {
    name: 'keep-warm is bounded by its maximum',
    given: { replicas: ready(1), idleMs: 60_000, scale: { ...scale, keepWarmMaxMs: 60_000 } },
    rule: 'idle',
    total: 0,
  },
  {
    name: 'minReplicas never go to zero',
    given: { replicas: ready(1), idleMs: 1e9, targets: [targetView({ minReplicas: 1 })] },
    rule: 'steady',
    total: 1,
  },
  {
    name: 'a long boot that nobody wants for a minute is given up',
    given: { replicas: [booting('b', 400_000)], idleMs: 60_000, noDemandMs: 60_000 },
    rule: 'abandoned-boot',
    total: 0,
  },
  {
    name: 'a boot that ends before keep-warm would is finished',
    given: { replicas: [booting('b', 200_000)], idleMs: 60_000, noDemandMs: 60_000 },
    rule: 'steady',
    total: 1,
  },
  {
    name: 'a paused policy changes nothing',
    given: { scale: { ...scale, paused: true }, objectives: queued(500), replicas: ready(1) },
    rule: 'paused',
    total: 1,
  },
];

test.each(rows)('decide: $name', ({ given, rule, total, says = '' }) => {
  const decision = decide(snapshot(given));
  expect({ rule: decision.rule, total: desiredTotal(decision) }).toEqual({ rule, total });
  expect(decision.sentence).toContain(says);
  expect(decision.wouldChange.length).toBeGreaterThan(0);
});

test('work of several targets goes to the preferred one up to its maximum', () => {
  const targets = [targetView({ name: 'spot', maxReplicas: 4 }), targetView({ name: 'on-demand' })];
  expect(decide(snapshot({ objectives: queued(2_000), targets })).desired).toEqual({ spot: 4, 'on-demand': 2 });
});

test('every target gets its own minReplicas', () => {
  const targets = [targetView({ name: 'spot' }), targetView({ name: 'on-demand', minReplicas: 1 })];
  const decision = decide(snapshot({ targets, replicas: ready(3, { target: 'spot' }) }));
  expect({ rule: decision.rule, desired: decision.desired }).toEqual({
    rule: 'min',
    desired: { spot: 3, 'on-demand': 1 },
  });
});

test('a target with an open breaker is passed over', () => {
  const targets = [targetView({ name: 'spot', breaker: open }), targetView({ name: 'on-demand' })];
  expect(decide(snapshot({ objectives: queued(2_000), targets })).desired).toEqual({ 'on-demand': 6 });
});

test('the least wanted target gives up its emptiest replica', () => {
  const targets = [targetView({ name: 'spot' }), targetView({ name: 'on-demand' })];
  const replicas = [...ready(1, { target: 'on-demand', uid: 'a', usedSlots: 3 }), ...ready(2, { target: 'spot' })];
  const objectives = [objectiveView({ running: 3 })];
  expect(decide(snapshot({ targets, replicas, objectives })).desired).toEqual({ spot: 2 });
});

test('it looks again when the idle time is over, when a wait limit is reached and when a breaker allows a try', () => {
  expect(decide(snapshot({ replicas: ready(1), idleMs: 299_500 })).reviewInMs).toBe(500);
  const waiting = [objectiveView({ activation: 'Batched', queued: 1, maxWaitMs: 10_000, oldestAgeMs: 9_000 })];
  expect(decide(snapshot({ objectives: waiting })).reviewInMs).toBe(1_000);
  const soon = { ...open, retryAtMs: 10_000_700 };
  expect(decide(snapshot({ objectives: queued(1), targets: [targetView({ breaker: soon })] })).reviewInMs).toBe(700);
});

test('every input and component is in the decision', () => {
  const { components } = decide(snapshot({ objectives: queued(2_000) }));
  expect(components).toEqual({
    live: 0,
    rate: 0,
    rateToFall: 0,
    backlog: 6,
    deadline: 0,
    infeasibleDeadlines: 0,
    min: 0,
    manual: 0,
    max: 20,
    wanted: 6,
    wantedToFall: 6,
    breakEvenRequests: 0,
    keepWarmMs: 300_000,
    drainTargetMs: 300_000,
    scaleDownAfterMs: 150_000,
    stepMs: 60_000,
  });
});
