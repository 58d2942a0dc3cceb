import { afterEach, describe, expect, test } from 'vitest';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import { desiredTotal } from '../../../src/autoscaler/policy/decision.ts';
import type { ObjectiveView, Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import { booting, dueView, objectiveView, ready, replicaView, snapshot, targetView } from './support/builders.ts';
import { GUEST, KEY, MINUTE_MS, startExperienced, stopAll } from './support/running.ts';

const HOUR = 3_600_000;
/** Fewer than pay for a boot (614 with the slot use that is assumed at first), more than keep-warm leaves time for. */
const ROWS = 550;
const guest = (over: Partial<ObjectiveView> = {}): ObjectiveView =>
  objectiveView({ name: 'nightly', activation: 'Batched', isGuest: true, oldestAgeMs: 1_000, ...over });
const owed = { windowMaxPods: 0, sinceUpMs: 1e9, sinceDownMs: 1e9, guestsOwed: true };
const notOwed = { ...owed, guestsOwed: false };
const cold = { idleMs: HOUR, history: notOwed };

interface Row {
  readonly name: string;
  readonly given: Partial<Snapshot>;
  readonly rule: string;
  readonly total: number;
  readonly owed?: boolean;
  readonly says?: string;
}

describe('work that may not extend keep-warm', () => {
  const rows: readonly Row[] = [
    {
      name: 'runs while the pool is kept warm for others',
      given: { objectives: [guest({ queued: 500, running: 32 })], replicas: ready(1), idleMs: 60_000 },
      rule: 'steady',
      total: 1,
      says: 'idle for 1m of the 5m',
    },
    {
      name: 'does not hold the pool when that is over',
      given: { ...cold, objectives: [guest({ queued: 500, running: 32 })], replicas: ready(2) },
      rule: 'idle',
      total: 0,
      says: '532 requests that may not keep it up',
    },
    {
      name: 'the same work of an objective that may does',
      given: { ...cold, objectives: [guest({ queued: 500, running: 32, isGuest: false })], replicas: ready(1) },
      rule: 'steady',
      total: 1,
    },
    {
      name: 'orders no replica beside those of others',
      given: {
        objectives: [objectiveView({ running: 5 }), guest({ queued: 20_000, slotMsPerQueued: 100 })],
        replicas: ready(1),
      },
      rule: 'steady',
      total: 1,
    },
    {
      name: 'does not hold replicas that others need no more',
      given: {
        objectives: [objectiveView({ running: 1 }), guest({ queued: 100 })],
        replicas: ready(3),
        history: { ...notOwed, windowMaxPods: 1 },
      },
      rule: 'scale-down',
      total: 2,
    },
    {
      name: 'keeps what its number has woken until it is done',
      given: { ...cold, objectives: [guest({ running: 3 })], replicas: ready(1), history: owed },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'leaves at once when it is done: it is no activity',
      given: { ...cold, objectives: [guest()], replicas: ready(1), history: owed },
      rule: 'idle',
      total: 0,
    },
    {
      name: 'keeps the pool up when its number alone is worth a boot',
      given: { ...cold, objectives: [guest({ queued: 768 })], replicas: ready(1) },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'keeps the pool up at its age',
      given: { ...cold, objectives: [guest({ queued: 1, oldestAgeMs: HOUR, maxWaitMs: HOUR })], replicas: ready(1) },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'keeps the pool up from the latest start of its deadline on',
      given: {
        ...cold,
        objectives: [guest({ activation: 'Scheduled', queued: 10, due: [dueView(10, 600_000, { windowMs: HOUR })] })],
        replicas: ready(1),
      },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'does not before',
      given: {
        ...cold,
        objectives: [guest({ activation: 'Scheduled', queued: 10, due: [dueView(10, 5 * HOUR)] })],
        replicas: ready(1),
      },
      rule: 'idle',
      total: 0,
    },
    {
      name: 'is late with the work of others before it: that starts it earlier',
      given: {
        ...cold,
        objectives: [
          objectiveView({
            activation: 'Scheduled',
            queued: 10,
            due: [dueView(32 * 144, HOUR + 1, { windowMs: HOUR })],
          }),
          guest({ activation: 'Scheduled', queued: 32 * 100, due: [dueView(32 * 100, 1.5 * HOUR)] }),
        ],
        replicas: ready(1),
        targets: [targetView({ maxReplicas: 1 })],
      },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'that must not wait is demand as any other',
      given: { ...cold, objectives: [guest({ activation: 'Immediate', running: 1 })], replicas: ready(1) },
      rule: 'steady',
      total: 1,
      owed: true,
    },
    {
      name: 'takes no draining replica back',
      given: {
        ...cold,
        objectives: [guest({ queued: 500, running: 3 })],
        replicas: [replicaView({ phase: 'Draining', usedSlots: 3 })],
      },
      rule: 'asleep',
      total: 0,
      says: '503 queued requests',
    },
    {
      name: 'a chat takes it back',
      given: {
        ...cold,
        objectives: [objectiveView({ queued: 1 }), guest({ queued: 500, running: 3 })],
        replicas: [replicaView({ phase: 'Draining', usedSlots: 3 })],
      },
      rule: 'backlog',
      total: 1,
    },
    {
      name: 'does not keep a boot whose callers have left',
      given: { ...cold, objectives: [guest({ queued: 5 })], replicas: [booting('b', 400_000)], noDemandMs: HOUR },
      rule: 'abandoned-boot',
      total: 0,
    },
  ];
  test.each(rows)('$name', (row) => {
    const { given, total, says = '' } = row;
    const decision = decide(snapshot(given));
    expect(decision.sentence).toContain(says);
    expect({ total: desiredTotal(decision), owed: decision.guestsOwed }).toEqual({ total, owed: row.owed ?? false });
    expect(decision.rule).toBe(row.rule);
    const isEmpty = (given.objectives ?? []).every(({ queued, running }) => queued + running === 0);
    // Where there is work the pool is drained, never closed at one stroke.
    expect(decision.toZero).toBe(row.rule === 'idle' && isEmpty);
  });
});

describe('paused work', () => {
  const paused = objectiveView({ queued: 500, oldestAgeMs: HOUR, maxWaitMs: 1_000, perS60: 5, paused: true });

  test('wakes no pool, whatever its age', () => {
    const decision = decide(snapshot({ objectives: [{ ...paused, name: 'nightly' }] }));
    expect(decision).toMatchObject({
      rule: 'asleep',
      desired: {},
      sentence: 'stays at zero: 500 requests of nightly are paused',
    });
    expect(decision.wouldChange).toContain('the end of the pause of nightly');
  });

  test('is told apart from work that waits for its own reasons', () => {
    const few = objectiveView({ name: 'weekly', activation: 'Batched', queued: 1, maxWaitMs: HOUR });
    const { sentence } = decide(snapshot({ objectives: [{ ...paused, name: 'nightly', queued: 1 }, few] }));
    expect(sentence).toBe('stays at zero: 1 queued request is not yet worth a boot; 1 request of nightly is paused');
  });

  test('lets a pool go to zero', () => {
    const decision = decide(snapshot({ ...cold, objectives: [paused], replicas: ready(1) }));
    expect(decision).toMatchObject({ rule: 'idle', desired: {}, toZero: false });
    expect(decision.sentence).toMatch(/; 500 requests of \S+ are paused$/);
  });

  test('that still runs ends first', () => {
    const decision = decide(snapshot({ ...cold, objectives: [{ ...paused, running: 1 }], replicas: ready(1) }));
    expect(decision).toMatchObject({ rule: 'steady', desired: { gpu: 1 } });
  });
});

describe('a night', () => {
  afterEach(stopAll);

  test('a chat wakes the pool, rows use what is free, and the pool sleeps on time with rows left', async () => {
    const { world, autoscaler } = await startExperienced({}, 300_000, GUEST);
    world.enqueue(1, 5_000);
    world.enqueue(ROWS, 25_000, 'nightly');
    await world.passUntil('the chat is done', () => world.waits.length > 0, 310_000);
    await world.passUntil('the pool sleeps', () => world.livePods === 0, 8 * MINUTE_MS);
    expect(world.queued).toBeGreaterThan(50);
    expect(world).toMatchObject({ boots: 1, cut: 0, running: 0 });
    expect(autoscaler.status(KEY)?.lastDecision?.rule).toBe('asleep');
    await world.pass(60 * MINUTE_MS);
    expect(world.boots).toBe(1);
    await world.passUntil('their age wakes the pool', () => world.boots === 2, 3 * HOUR);
    await world.passUntil('all is done', () => world.queued + world.running === 0, 20 * MINUTE_MS);
    const idleMs = await world.passUntil('the pool sleeps again', () => world.livePods === 0, 16 * MINUTE_MS);
    expect(idleMs).toBeLessThan(10_000);
    expect(world.cut).toBe(0);
  });

  test('a chat that comes while rows drain keeps the pool up', async () => {
    const { world } = await startExperienced({}, 300_000, GUEST);
    world.enqueue(1, 5_000);
    world.enqueue(ROWS, 25_000, 'nightly');
    await world.passUntil('a drain begins', () => world.podsIn('Draining') === 1, 15 * MINUTE_MS);
    world.enqueue(1, 5_000);
    await world.pass(2_000);
    expect(world.podsIn('Ready')).toBe(1);
    expect(world).toMatchObject({ boots: 1, cut: 0 });
  });
});
