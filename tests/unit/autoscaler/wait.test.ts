import { expect, test } from 'vitest';
import { newArrivalRate } from '../../../src/autoscaler/policy/arrival-rate.ts';
import { adviceOf } from '../../../src/autoscaler/adapters/board/view.ts';
import type { Snapshot } from '../../../src/autoscaler/policy/snapshot.ts';
import { queuedAhead, waitAdvice } from '../../../src/autoscaler/policy/wait-advice.ts';
import { slotInMs } from '../../../src/autoscaler/policy/wait-time.ts';
import { createWaitAdvisor } from '../../../src/autoscaler/wait-advisor.ts';
import type { PoolStatus, WarmUpPhase } from '../../../src/core/replicas.ts';
import { booting, objectiveView, ready, snapshot } from './support/builders.ts';

const serving = { availableInMs: 0, freeSlots: 0, requestsPerMs: 0.001 };
const free = { ...serving, freeSlots: 4 };
const soon = { availableInMs: 10_000, freeSlots: 4, requestsPerMs: 0.001 };

test.each([
  { name: 'a free slot is there at once', position: 3, sources: [free], want: 0 },
  { name: 'the next after the free slots waits for one to end', position: 4, sources: [free], want: 1_000 },
  { name: 'each place further waits one request longer', position: 9, sources: [serving], want: 10_000 },
  { name: 'a booting pod offers its slots when it is ready', position: 0, sources: [soon], want: 10_000 },
  {
    name: 'a booting pod that comes later than a slot does not matter',
    position: 4,
    sources: [serving, soon],
    want: 5_000,
  },
  {
    name: 'two pods finish twice as many',
    position: 24,
    sources: [serving, soon],
    want: 15_500,
  },
  { name: 'no pod, no answer', position: 0, sources: [], want: null },
])('the wait for a slot: $name', ({ position, sources, want }) => {
  const waitMs = slotInMs(position, sources);
  if (want === null) expect(waitMs).toBeNull();
  else expect(waitMs).toBeCloseTo(want, 3);
});

const PRIORITIES: Readonly<Record<string, number>> = { chat: 100, nightly: -10 };

function advisor(given: Partial<Snapshot>, phases: readonly WarmUpPhase[] = [], over: Partial<PoolStatus> = {}) {
  const status: PoolStatus = {
    pool: 'default/llama',
    phase: 'Ready',
    desiredReplicas: 1,
    replicas: phases.map((phase, index) => ({
      uid: `replica-${index}`,
      pool: 'default/llama',
      target: 'gpu',
      phase,
      requestedAtEpochMs: 0,
      phaseSinceEpochMs: 0,
      readyAtEpochMs: null,
      endpointIds: [],
      message: null,
      restarts: 0,
      trouble: null,
    })),
    nextReadyMs: { p50: 300_000, p90: 390_000 },
    lastDecision: null,
    blockedWhy: null,
    ...over,
  };
  const advice = waitAdvice(snapshot(given), newArrivalRate(0), 10_000_000);
  const source = { status: (pool: string) => (pool === status.pool ? status : undefined), advice: () => advice };
  return createWaitAdvisor(
    source,
    (_pool, objective) => PRIORITIES[objective] ?? 0,
    (_pool, objective) => objective === 'stopped',
  );
}

const POOL = 'default/llama';

test('a call that wakes the pool is told the cold start, and the phase of the furthest replica', () => {
  expect(advisor({}).status(POOL, 'chat', 0)).toEqual({ position: 0, phase: 'waking', etaMs: 300_000 });
  const waking = advisor({ replicas: [booting('a', 60_000), booting('b', 90_000)] }, ['Requested', 'ModelLoading']);
  expect(waking.status(POOL, 'chat', 0)).toEqual({ position: 0, phase: 'ModelLoading', etaMs: 60_000 });
});

test('a call whose objective is paused is told so, and no time', () => {
  expect(advisor({}, ['Ready']).status(POOL, 'stopped', 4)).toEqual({ position: 4, phase: 'paused', etaMs: null });
});

test('a call that may wait is not told when a sleeping pool will wake', () => {
  const objectives = [objectiveView({ name: 'nightly', activation: 'Batched', queued: 5 })];
  expect(advisor({ objectives }).status(POOL, 'nightly', 0)).toEqual({ position: 0, phase: 'queued', etaMs: null });
});

test('a call behind a full replica waits for those before it', () => {
  const full = { replicas: ready(1, { usedSlots: 32 }), objectives: [objectiveView({ queued: 64, running: 32 })] };
  expect(advisor(full, ['Ready']).status(POOL, 'chat', 63)).toEqual({ position: 63, phase: 'queued', etaMs: 50_000 });
});

test('a refused caller comes back when a tenth of the queue is done, after the boot if nothing serves yet', () => {
  const objectives = [objectiveView({ queued: 1_280, running: 32 })];
  expect(advisor({ objectives, replicas: ready(1) }).retryAfterMs(POOL, 'chat')).toBe(100_000);
  expect(advisor({ objectives }).retryAfterMs(POOL, 'chat')).toBe(400_000);
  expect(advisor({ replicas: ready(1) }).retryAfterMs(POOL, 'chat')).toBe(1_000);
});

test.each([
  { name: 'what has a lower priority', nightly: -10, wantMs: 1_000 },
  { name: 'nothing of the same or a higher priority', nightly: 100, wantMs: 600_000 },
])('how long a refused caller is told to wait leaves out $name', ({ nightly, wantMs }) => {
  const rows = objectiveView({ name: 'nightly', priority: nightly, queued: 200_000, running: 32 });
  const refused = advisor({ objectives: [objectiveView({ priority: 100, queued: 6 }), rows], replicas: ready(1) });
  expect(refused.retryAfterMs(POOL, 'chat')).toBe(wantMs);
  expect(refused.retryAfterMs(POOL, 'nightly')).toBe(600_000);
});

test('a controller that does not tell priorities yet is read as before: all that is queued counts', () => {
  const told = waitAdvice(
    snapshot({ objectives: [objectiveView({ priority: 0, queued: 1_280 })] }),
    newArrivalRate(0),
    10_000_000,
  );
  const { queuedByPriority: _untold, ...older } = told;
  expect(queuedAhead(adviceOf({ ...older, immediate: ['chat'] }), 100)).toBe(1_280);
  expect(queuedAhead(adviceOf({ ...told, immediate: ['chat'] }), 100)).toBe(0);
});

test('a blocked pool says why no capacity can come, and so does an unknown one', () => {
  expect(advisor({}).capacity(POOL)).toEqual({ canCome: true });
  expect(advisor({}, [], { blockedWhy: 'broken' }).capacity(POOL)).toEqual({ canCome: false, why: 'broken' });
  expect(advisor({}).capacity('default/other').canCome).toBe(false);
});
