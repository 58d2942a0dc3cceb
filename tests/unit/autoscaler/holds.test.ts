import { describe, expect, test } from 'vitest';
import { trackBoots } from '../../../src/autoscaler/policy/boot-tracker.ts';
import { bootFailed, closedBreaker, isOpen } from '../../../src/autoscaler/policy/breaker.ts';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import { heldWhy, isBlocked, noOrderWhy } from '../../../src/autoscaler/policy/holds.ts';
import { isLowered, leaving } from '../../../src/autoscaler/policy/leaving.ts';
import { noPeopleOrders, orderSentences, peopleOrders } from '../../../src/autoscaler/policy/people-orders.ts';
import { plan } from '../../../src/autoscaler/policy/plan.ts';
import type { Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import type { TargetReplica } from '../../../src/autoscaler/policy/target-replica.ts';
import { NO_ORDER } from '../../../src/core/pool-orders.ts';
import type { BootTrouble, BootTroubleKind } from '../../../src/core/replicas.ts';
import {
  booting,
  objectiveView,
  poolSpec,
  ready,
  replicaView,
  scale,
  scaleTarget,
  snapshot,
  targetView,
} from './support/builders.ts';

const NOW_MS = 1_700_000_000_000;
const trouble = (kind: BootTroubleKind, over: Partial<BootTrouble> = {}): BootTrouble => ({
  kind,
  message: 'said so',
  permanent: false,
  blocksOrders: true,
  ...over,
});
const pending = (uid: string, found: BootTrouble | null, over = {}) =>
  booting(uid, 300_000, { phase: 'Pending', trouble: found, ...over });
const queued = (count: number) => [objectiveView({ queued: count, oldestAgeMs: 1_000 })];

test.each([
  { name: 'no GPU for it', replica: pending('a', trouble('Unschedulable')), blocked: true, holds: true },
  {
    name: 'a node is on its way',
    replica: pending('a', trouble('Unschedulable', { blocksOrders: false })),
    blocked: false,
    holds: false,
  },
  {
    name: 'a GPU that comes free soon',
    replica: pending('a', trouble('WaitingForGpu'), { sinceRequestedMs: 299_000 }),
    blocked: false,
    holds: true,
  },
  {
    name: 'a GPU that was waited for as long as a boot',
    replica: pending('a', trouble('WaitingForGpu', { blocksOrders: false }), { sinceRequestedMs: 300_000 }),
    blocked: true,
    holds: true,
  },
  {
    name: 'a failed boot, which is the business of the breaker',
    replica: replicaView({ phase: 'Stuck', trouble: trouble('ImagePull') }),
    blocked: false,
    holds: false,
  },
  {
    name: 'one that its target gave up for want of room',
    replica: replicaView({ phase: 'Stuck', trouble: trouble('QuotaExceeded') }),
    blocked: true,
    holds: true,
  },
  {
    name: 'an image that only the older template names',
    replica: booting('a', 1_000, { trouble: trouble('ImagePull'), templateHash: 'older' }),
    blocked: true,
    holds: false,
  },
  {
    name: 'a pod that leaves',
    replica: pending('a', trouble('Unschedulable'), { terminating: true }),
    blocked: false,
    holds: false,
  },
])('a boot with trouble: $name', ({ replica, blocked, holds }) => {
  const target = targetView();
  expect(isBlocked(replica, target)).toBe(blocked);
  expect(noOrderWhy(target, [replica]) !== null).toBe(holds);
});

test.each([
  { name: 'nothing', up: null, down: null, want: null },
  { name: 'orders only', up: 'quota', down: null, want: 'no order (quota)' },
  { name: 'steps down only', up: null, down: 'a rollout', want: 'no step down (a rollout)' },
  { name: 'both for one reason', up: 'an HPA', down: 'an HPA', want: 'no order and no step down (an HPA)' },
  { name: 'each for its own', up: 'quota', down: 'a rollout', want: 'no order (quota), no step down (a rollout)' },
])('what holds a target, in words: $name', ({ up, down, want }) => {
  expect(heldWhy(targetView({ noUpWhy: up, noDownWhy: down }), [])).toBe(want);
});

interface Row {
  readonly name: string;
  readonly given: Partial<Snapshot>;
  readonly rule: string;
  readonly desired: Readonly<Record<string, number>>;
  readonly says?: string;
}

const two = (over: Partial<Parameters<typeof targetView>[0]> = {}) => [
  targetView({ name: 'spot', ...over }),
  targetView({ name: 'on-demand' }),
];
const wake = { ...noPeopleOrders, wakeReplicas: 2, wakeLeftMs: 60_000, by: 'ann' };
const drain = { ...noPeopleOrders, drainLeftMs: 60_000, by: 'bob' };
const rows: readonly Row[] = [
  {
    name: 'a held target is passed over',
    given: { objectives: queued(1), targets: two({ noUpWhy: 'an HPA scales it' }) },
    rule: 'immediate',
    desired: { 'on-demand': 1 },
    says: 'target spot: no order (an HPA scales it)',
  },
  {
    name: 'a blocked boot is no supply for its request',
    given: {
      objectives: queued(1),
      targets: two(),
      replicas: [pending('a', trouble('Unschedulable'), { target: 'spot' })],
    },
    rule: 'immediate',
    desired: { spot: 1, 'on-demand': 1 },
  },
  {
    name: 'a minimum that is held elsewhere waits',
    given: { targets: [targetView({ minReplicas: 1, noUpWhy: 'quota' })] },
    rule: 'no-capacity',
    desired: {},
    says: 'target gpu: no order (quota)',
  },
  {
    name: 'a blocked boot that nothing wants is given up',
    given: { replicas: [pending('a', trouble('Unschedulable'))] },
    rule: 'abandoned-boot',
    desired: {},
  },
  {
    name: 'a blocked boot does not keep the rest from going to zero',
    given: {
      replicas: [
        pending('0', trouble('Unschedulable'), { removalOrder: 0 }),
        replicaView({ uid: '1', removalOrder: 1 }),
      ],
      idleMs: 300_000,
      noDemandMs: 300_000,
    },
    rule: 'idle',
    desired: {},
  },
  {
    name: 'nothing goes to zero in a rollout',
    given: { replicas: ready(1), idleMs: 1e9, targets: [targetView({ noDownWhy: 'rolling out' })] },
    rule: 'steady',
    desired: { gpu: 1 },
    says: 'no step down (rolling out)',
  },
  {
    name: 'nothing steps down in a rollout, not even beyond maxReplicas',
    given: { replicas: ready(4), targets: [targetView({ maxReplicas: 2, noDownWhy: 'rolling out' })] },
    rule: 'steady',
    desired: { gpu: 4 },
  },
  {
    name: 'a wake order is a floor',
    given: { orders: wake },
    rule: 'manual',
    desired: { gpu: 2 },
    says: 'at least 2 kept awake by ann for 1m more',
  },
  {
    name: 'a wake order is bounded by maxReplicas',
    given: { orders: { ...wake, wakeReplicas: 9 }, targets: [targetView({ maxReplicas: 1 })] },
    rule: 'manual',
    desired: { gpu: 1 },
  },
  {
    name: 'a wake order keeps an idle pool up',
    given: { orders: wake, replicas: ready(2), idleMs: 1e9, noDemandMs: 1e9 },
    rule: 'steady',
    desired: { gpu: 2 },
  },
  {
    name: 'a drain order wins over work and minReplicas',
    given: {
      orders: drain,
      objectives: queued(100),
      replicas: ready(2),
      targets: [targetView({ minReplicas: 1 })],
    },
    rule: 'drained',
    desired: {},
    says: 'goes from 2 to 0: drained by bob for 1m more',
  },
  {
    name: 'people may pause',
    given: { orders: { ...noPeopleOrders, paused: true, by: 'ann' }, objectives: queued(100), replicas: ready(1) },
    rule: 'paused',
    desired: { gpu: 1 },
    says: 'stays at 1: paused by ann',
  },
];

test.each(rows)('decide: $name', ({ given, rule, desired, says = '' }) => {
  const decision = decide(snapshot(given));
  expect({ rule: decision.rule, desired: decision.desired }).toEqual({ rule, desired });
  expect(decision.sentence).toContain(says);
});

test('plan: a workload with an order of its own gives up its highest replica, whatever the others do', () => {
  const replicas = [
    replicaView({ uid: '0', removalOrder: 0, usedSlots: 0 }),
    replicaView({ uid: '2', removalOrder: 2, usedSlots: 9 }),
    replicaView({ uid: '1', removalOrder: 1, usedSlots: 3 }),
  ];
  const given = snapshot({ replicas, objectives: [objectiveView({ running: 3 })] });
  expect(plan(decide(given), given).drain).toEqual(['2']);
});

test('plan: what was marked on a target that gives nothing away is not ended, but taken back when it is wanted', () => {
  const targets = [targetView({ noDownWhy: 'rolling out' })];
  const marked = replicaView({ phase: 'Draining', gate: 'draining', inPhaseMs: 1e9 });
  const idle = snapshot({ targets, replicas: [marked] });
  expect(plan(decide(idle), idle)).toMatchObject({ stop: [], drain: [], undrain: [] });
  const busy = snapshot({ targets, replicas: [marked], objectives: queued(1) });
  expect(plan(decide(busy), busy).undrain).toEqual(['replica-1']);
});

test('plan: a workload that rolls itself is not helped', () => {
  const given = snapshot({
    targets: [targetView({ rollsItself: true })],
    replicas: ready(2, { templateHash: 'older' }),
    history: { windowMaxPods: null, sinceUpMs: 0, sinceDownMs: 0, guestsOwed: false },
  });
  expect(plan(decide(given), given).drain).toEqual([]);
});

test('a permanent failure opens the breaker at once', () => {
  expect(isOpen(bootFailed(closedBreaker, 'manifest unknown', 0, true))).toBe(true);
  expect(isOpen(bootFailed(closedBreaker, 'exit code 1', 0))).toBe(false);
});

function podIn(over: Partial<TargetReplica>): TargetReplica {
  return {
    uid: 'a',
    pool: 'default/llama',
    target: 'gpu',
    phase: 'Pending',
    requestedAtEpochMs: NOW_MS,
    phaseSinceEpochMs: NOW_MS,
    readyAtEpochMs: null,
    endpointIds: [],
    message: null,
    restarts: 0,
    trouble: null,
    removalOrder: null,
    templateHash: 'hash',
    terminating: false,
    ...over,
  };
}

test.each([
  { name: 'as it says', requestedAtEpochMs: NOW_MS - 90_000, want: 90_000 },
  { name: 'never in the future, whatever another clock says', requestedAtEpochMs: NOW_MS + 60_000, want: 0 },
  { name: 'at most a day', requestedAtEpochMs: 0, want: 86_400_000 },
])('a boot first seen in the middle began: $name', ({ requestedAtEpochMs, want }) => {
  const now = { monotonicMs: 500, epochMs: NOW_MS };
  const { tracked } = trackBoots(new Map(), [podIn({ requestedAtEpochMs })], now);
  expect(500 - (tracked.get('a')?.enteredMs.Requested ?? 0)).toBe(want);
});

test('a replica that fails and serves after all counts as both, and one that waits for room as neither', () => {
  const now = { monotonicMs: 0, epochMs: NOW_MS };
  const failed = trackBoots(new Map(), [podIn({ trouble: trouble('Unreachable', { permanent: true }) })], now);
  expect(failed.results).toMatchObject([{ kind: 'failed', reason: 'Unreachable', permanent: true }]);
  const served = trackBoots(failed.tracked, [podIn({ phase: 'Ready' })], now);
  expect(served.results).toMatchObject([{ kind: 'ready' }]);
  const waiting = podIn({ phase: 'Stuck', trouble: trouble('Unschedulable') });
  expect(trackBoots(new Map(), [waiting], now).results).toEqual([]);
});

test('orders of people hold until their time, and a drain wins over a wake', () => {
  const order = { ...NO_ORDER, wakeUntilEpochMs: NOW_MS + 60_000, wakeReplicas: 2, by: 'ann' };
  expect(orderSentences(peopleOrders(order, NOW_MS))).toEqual(['at least 2 kept awake by ann for 1m more']);
  expect(peopleOrders(order, NOW_MS + 60_000)).toMatchObject({ wakeReplicas: 0, wakeLeftMs: null });
  const both = { ...order, drainUntilEpochMs: NOW_MS + 30_000 };
  expect(peopleOrders(both, NOW_MS)).toMatchObject({ wakeReplicas: 0, drainLeftMs: 30_000 });
});

test.each([
  { onDelete: 'Keep' as const, mode: 'Native' as const, release: 'Keep', most: null },
  { onDelete: 'ScaleToZero' as const, mode: 'Native' as const, release: 'ScaleToZero', most: 0 },
  { onDelete: 'ScaleToMin' as const, mode: 'Native' as const, release: 'ScaleToMin', most: 1 },
  { onDelete: 'ScaleToZero' as const, mode: 'Observe' as const, release: 'Keep', most: null },
])('a deleted policy with onDelete $onDelete in mode $mode is released as $release', (row) => {
  const pods = { matchLabels: { app: 'llama' }, ports: [8_000] };
  const targets = [scaleTarget({ minReplicas: 1 })];
  const { lower, release } = leaving(
    poolSpec({ pods, targets, onDelete: row.onDelete, scale: { ...scale, mode: row.mode } }),
  );
  expect(release?.onDelete).toBe(row.release);
  expect(lower?.targets[0]?.maxReplicas ?? null).toBe(row.most);
});

test('a pool is lowered once nothing is beyond its maximum and nothing drains', () => {
  const lower = poolSpec({ targets: [scaleTarget({ maxReplicas: 1 })] });
  const pod = (uid: string, phase: TargetReplica['phase']) => podIn({ uid, phase });
  expect(isLowered(lower, [pod('a', 'Ready')])).toBe(true);
  expect(isLowered(lower, [pod('a', 'Ready'), pod('b', 'Ready')])).toBe(false);
  expect(isLowered(lower, [pod('a', 'Ready'), pod('b', 'Draining')])).toBe(false);
});

describe('a replica in quarantine, because its readiness flaps', () => {
  const flaps = trouble('Flapping', { blocksOrders: false });
  const flapping = (over = {}) => replicaView({ uid: 'flaps', phase: 'Ready', trouble: flaps, ...over });

  test.each(['Ready', 'ModelLoading'] as const)(
    '%s: it is no supply, holds no order and is no failed boot',
    (phase) => {
      const replica = flapping({ phase });
      expect(isBlocked(replica, targetView())).toBe(true);
      expect(noOrderWhy(targetView(), [replica])).toBeNull();
    },
  );

  test('another one is ordered for work that it alone would have done, within the maximum', () => {
    const work = { objectives: queued(4) };
    expect(decide(snapshot({ ...work, replicas: ready(1) })).desired).toEqual({ gpu: 1 });
    expect(decide(snapshot({ ...work, replicas: [flapping()] })).desired).toEqual({ gpu: 2 });
    const full = snapshot({ ...work, replicas: [flapping()], targets: [targetView({ maxReplicas: 1 })] });
    expect(decide(full).desired).toEqual({ gpu: 1 });
  });

  test('it is the first to go, through a drain, and holds no pool up', () => {
    const idle = { objectives: [], idleMs: 10 * 3_600_000, noDemandMs: 10 * 3_600_000 };
    expect(decide(snapshot({ ...idle, replicas: [flapping()] })).rule).toBe('idle');
    const two = snapshot({
      replicas: [flapping({ uid: 'a' }), ...ready(1)],
      targets: [targetView({ maxReplicas: 1 })],
    });
    expect(plan(decide(two), two)).toMatchObject({ drain: ['a'], stop: [] });
  });

  test('without work it is not given up like a boot: what runs there ends well', () => {
    const still = snapshot({ objectives: [], noDemandMs: 120_000, replicas: [flapping({ phase: 'ModelLoading' })] });
    expect(decide(still).abandon).toEqual([]);
  });
});
