import { expect, test } from 'vitest';
import { childEnv } from '../../../src/autoscaler/adapters/process-target/child-env.ts';
import { probeDelayMs } from '../../../src/autoscaler/adapters/process-target/readiness.ts';
import { restartDelayMs } from '../../../src/autoscaler/adapters/process-target/restart-delay.ts';
import { DecisionLog } from '../../../src/autoscaler/decision-log.ts';
import {
  allowedBoots,
  type Breaker,
  bootFailed,
  closedBreaker,
  isOpen,
} from '../../../src/autoscaler/policy/breaker.ts';
import { deadlinePods, deadlineWork } from '../../../src/autoscaler/policy/deadline.ts';
import { decide } from '../../../src/autoscaler/policy/decide.ts';
import {
  bootHistory,
  learnedPool,
  parseLearnedState,
  restorePool,
} from '../../../src/autoscaler/policy/learned-state.ts';
import { plan } from '../../../src/autoscaler/policy/plan.ts';
import { newPoolMemory } from '../../../src/autoscaler/policy/pool-memory.ts';
import { finishedInMs } from '../../../src/autoscaler/policy/supply.ts';
import { learnBoot } from '../../../src/autoscaler/policy/templates.ts';
import { dueView, objectiveView, ready, replicaView, scale, snapshot, targetView } from './support/builders.ts';

test('the breaker opens after three failures and backs off 1, 2, 4 … 30 minutes', () => {
  let breaker: Breaker = closedBreaker;
  const backoffs = Array.from({ length: 9 }, () => {
    breaker = bootFailed(breaker, 'exit code 1', 0);
    return (breaker.retryAtMs ?? 0) / 60_000;
  });
  expect(backoffs).toEqual([0, 0, 1, 2, 4, 8, 16, 30, 30]);
  expect(isOpen(breaker)).toBe(true);
  expect(allowedBoots(breaker, 1_799_999)).toBe(0);
  expect(allowedBoots(breaker, 1_800_000)).toBe(1);
  expect(allowedBoots(closedBreaker, 0)).toBe(Number.POSITIVE_INFINITY);
});

test('one Ready forgets the failures', () => {
  const failed = learnBoot(
    { boots: new Map(), breakers: new Map() },
    { kind: 'failed', templateHash: 'a', message: 'x', reason: null, permanent: false },
    0,
  );
  expect(failed.breakers.get('a')?.failures).toBe(1);
  const boot = { atEpochMs: 1, toReadyMs: { Requested: 5 } };
  const worked = learnBoot(failed, { kind: 'ready', templateHash: 'a', boot }, 0);
  expect(worked).toEqual({ boots: new Map([['a', [boot]]]), breakers: new Map() });
});

test('work is finished when the pods, each from its own start, have done it', () => {
  const pod = (availableInMs: number) => ({ target: 'gpu', rate: 10, availableInMs });
  expect(finishedInMs([pod(0)], 1_000)).toBe(100);
  expect(finishedInMs([pod(50), pod(0)], 1_000)).toBe(75);
  expect(finishedInMs([pod(0), pod(200)], 1_000)).toBe(100);
  expect(finishedInMs([pod(30)], 0)).toBe(30);
  expect(finishedInMs([], 1)).toBe(Number.POSITIVE_INFINITY);
});

test('a deadline that no new pod can meet any more adds none and is counted', () => {
  const pods = [{ target: 'gpu', rate: 32, availableInMs: 390_000 }];
  expect(deadlinePods(pods, 0, [{ dueInMs: 300_000, slotMs: 25_000 }])).toMatchObject({ pods: 0, infeasible: 1 });
});

test('the reserve before a deadline is 3 %, at least 5 minutes, at most a tenth of the window', () => {
  const dueInMs = (windowMs: number) =>
    deadlineWork([objectiveView({ queued: 1, due: [dueView(1, windowMs)] })])[0]?.dueInMs;
  expect(dueInMs(86_400_000)).toBe(86_400_000 * 0.97);
  expect(dueInMs(3_600_000)).toBe(3_300_000);
  expect(dueInMs(60_000)).toBe(54_000);
});

test.each([
  {
    name: 'an empty one with its gate shut ends',
    replica: replicaView({ phase: 'Draining', gate: 'draining' }),
    stop: true,
  },
  {
    name: 'one whose gate is still open stays',
    replica: replicaView({ phase: 'Draining', gate: 'open', inPhaseMs: 1_000 }),
    stop: false,
  },
  {
    name: 'one with requests stays',
    replica: replicaView({ phase: 'Draining', gate: 'draining', usedSlots: 1, inPhaseMs: 59_000 }),
    stop: false,
  },
  {
    name: 'one over the drain timeout ends',
    replica: replicaView({ phase: 'Draining', gate: 'draining', usedSlots: 1, inPhaseMs: 60_000 }),
    stop: true,
  },
  { name: 'a stuck one ends', replica: replicaView({ phase: 'Stuck' }), stop: true },
])('plan, draining replicas: $name', ({ replica, stop }) => {
  const given = snapshot({ replicas: [replica] });
  expect(plan(decide(given), given).stop).toEqual(stop ? ['replica-1'] : []);
});

test('plan: replicas of a target that is gone are drained', () => {
  const given = snapshot({
    replicas: ready(2, { target: 'gone', usedSlots: 1 }),
    objectives: [objectiveView({ running: 2 })],
  });
  expect(plan(decide(given), given)).toMatchObject({ drain: ['replica-1', 'replica-2'], stop: [] });
});

test('plan: replicas with an older command are replaced one at a time, and only without demand', () => {
  const old = ready(2, { templateHash: 'older' });
  const history = { windowMaxPods: null, sinceUpMs: 0, sinceDownMs: 0, guestsOwed: false };
  const idle = snapshot({ replicas: old, history });
  expect(plan(decide(idle), idle).drain).toEqual(['replica-1']);
  const busy = snapshot({
    replicas: old,
    objectives: [objectiveView({ running: 1 })],
    usedRatio: 0.1,
    history,
  });
  expect(plan(decide(busy), busy).drain).toEqual([]);
});

test('plan: a paused policy does nothing', () => {
  const given = snapshot({ scale: { ...scale, paused: true }, replicas: [replicaView({ phase: 'Stuck' })] });
  expect(plan(decide(given), given)).toEqual({ undrain: [], start: new Map(), drain: [], stop: [] });
});

test('learned state survives a round trip, and what does not fit is left out', () => {
  const memory = { ...newPoolMemory(0), slotUseRatio: 0.9, slotsByTarget: new Map([['gpu', 16]]) };
  const boot = { atEpochMs: 1, toReadyMs: { Requested: 5 } };
  const saved = { version: 1, boots: { a: [boot, { bad: true }], b: 'no' }, pools: { p: learnedPool(memory), q: 5 } };
  const parsed = parseLearnedState(JSON.parse(JSON.stringify(saved)));
  expect(bootHistory(parsed)).toEqual(new Map([['a', [boot]]]));
  const restored = restorePool(newPoolMemory(0), parsed.pools['p'] ?? learnedPool(newPoolMemory(0)));
  expect(restored).toMatchObject({ slotUseRatio: 0.9, slotsByTarget: new Map([['gpu', 16]]) });
  expect(Object.keys(parsed.pools)).toEqual(['p']);
  for (const damaged of [null, 'x', 7, [], { version: 2 }]) expect(parseLearnedState(damaged).boots).toEqual({});
});

test('after a restart the template that booted longest ago still goes first, whatever its name', () => {
  const boot = (atEpochMs: number) => [{ atEpochMs, toReadyMs: { Requested: 5 } }];
  const saved = { version: 1, boots: { newest: boot(3), 568947: boot(2), oldest: boot(1) }, pools: {} };
  expect([...bootHistory(parseLearnedState(saved)).keys()]).toEqual(['oldest', '568947', 'newest']);
});

test('equal decisions in a row are one record, and only fifty records are kept', () => {
  const log = new DecisionLog();
  const asleep = snapshot();
  for (let atMs = 0; atMs < 5; atMs += 1) log.add(decide(asleep), asleep, false, atMs);
  expect(log.records).toMatchObject([{ atEpochMs: 0, lastAtEpochMs: 4, times: 5 }]);
  for (let index = 1; index <= 60; index += 1) {
    const given = snapshot({ targets: [targetView({ minReplicas: index % 2 })] });
    log.add(decide(given), given, true, index);
  }
  expect(log.records).toHaveLength(50);
});

test('a child inherits the allowed variables only, and its target may add others', () => {
  const ours = {
    PATH: '/bin',
    HOME: '/root',
    PILOTLIGHT_API_KEY: 'secret',
    AWS_SECRET_ACCESS_KEY: 'secret',
    LANG: undefined,
  };
  expect(childEnv(ours, { HOME: '/srv', VLLM_PORT: '1' }, 'uid-1')).toEqual({
    PATH: '/bin',
    HOME: '/srv',
    VLLM_PORT: '1',
    PILOTLIGHT_REPLICA_UID: 'uid-1',
  });
});

test('restarts wait 1, 2, 4 … 60 s, and 1 s again after a stable minute', () => {
  const delays = [0, 1, 2, 3, 4, 5, 6, 7].reduce<number[]>((all) => [...all, restartDelayMs(all.at(-1) ?? 0, 500)], []);
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  expect(restartDelayMs(60_000, 60_000)).toBe(1_000);
});

test('a boot is looked at every 10 ms at first, later at a hundredth of its length', () => {
  expect([0, 2_500, 10_000, 600_000].map((elapsedMs) => probeDelayMs(elapsedMs, 1_000))).toEqual([10, 25, 100, 1_000]);
  expect(probeDelayMs(0, 5)).toBe(5);
});
