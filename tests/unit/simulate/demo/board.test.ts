import { expect, test } from 'vitest';
import type { Replica } from '../../../../src/core/replicas.ts';
import type { ObjectiveReport, PoolReport, StatusReport } from '../../../../src/core/status.ts';
import { Board } from '../../../../src/simulate/demo/board.ts';
import { frameOf, plainLine } from '../../../../src/simulate/demo/frame.ts';
import { settledCount, totalUsage } from '../../../../src/simulate/demo/server-lives.ts';

const NO_USAGE = {
  loadingGpuSeconds: 0,
  idleGpuSeconds: 0,
  busyGpuSeconds: 0,
  alwaysOnGpuSeconds: 0,
  costUsd: 0,
  alwaysOnCostUsd: 0,
};

const objective = (changes: Partial<ObjectiveReport> = {}): ObjectiveReport => ({
  objective: 'nightly',
  priority: -10,
  waitingHeld: 0,
  waitingStored: 0,
  running: 0,
  stored: 0,
  bytes: 0,
  oldestWaitMs: null,
  arrivedTotal: 0,
  outcomes: { completed: 0, failed: 0, cancelled: 0, expired: 0, rejected: 0 },
  ...changes,
});

const replica = (changes: Partial<Replica> = {}): Replica => ({
  uid: 'a',
  pool: 'default/tickets',
  target: 'local',
  phase: 'ModelLoading',
  requestedAtEpochMs: 1_000,
  phaseSinceEpochMs: 1_500,
  readyAtEpochMs: null,
  endpointIds: [],
  message: null,
  restarts: 0,
  trouble: null,
  ...changes,
});

const pool = (changes: Partial<PoolReport> = {}): PoolReport => ({
  pool: 'default/tickets',
  models: ['tickets'],
  phase: 'Asleep',
  desiredReplicas: 0,
  replicas: [],
  replicasByPhase: {},
  slots: { open: 0, used: 0 },
  nextReadyMs: null,
  lastDecision: null,
  blockedWhy: null,
  objectives: [objective()],
  usage: NO_USAGE,
  ...changes,
});

const report = (one: PoolReport, startedAtEpochMs = 1): StatusReport => ({
  version: '0',
  installation: 'demo',
  startedAtEpochMs,
  nowEpochMs: 2,
  ready: true,
  problems: [],
  redis: { source: '', version: '', reachable: true },
  pools: [one],
});

const job = (index: number) => ({ index, id: `job-${index}`, acceptedAtEpochMs: 0 });

test('jobs are settled once the server no longer stores them', () => {
  const board = new Board();
  board.accepted.push(job(0), job(1), job(2));
  board.note(report(pool({ objectives: [objective({ stored: 2 })] })), 10);
  expect([board.settledJobs, board.allJobsSettled]).toEqual([1, false]);
  board.allSubmitted = true;
  board.note(report(pool()), 20);
  expect([board.settledJobs, board.allJobsSettled]).toEqual([3, true]);
});

test('without a server, or without its Redis, nothing is taken for settled or asleep', () => {
  const board = new Board();
  board.allSubmitted = true;
  expect([board.allJobsSettled, board.isAtZero]).toEqual([false, false]);
  board.note({ ...report(pool()), redis: { source: '', version: '', reachable: false } }, 10);
  expect([board.allJobsSettled, board.isAtZero]).toEqual([false, false]);
  board.note(report(pool()), 20);
  expect([board.allJobsSettled, board.isAtZero]).toEqual([true, true]);
  board.noteDeath();
  expect([board.allJobsSettled, board.isAtZero]).toEqual([false, false]);
});

test('a pool that wants a replica, or still ends one, is not at zero', () => {
  const board = new Board();
  board.note(report(pool({ desiredReplicas: 1 })), 10);
  expect(board.isAtZero).toBe(false);
  board.note(report(pool({ replicas: [replica({ phase: 'Draining' })] })), 20);
  expect(board.isAtZero).toBe(false);
});

test('the first wake is kept, later ones do not change it', () => {
  const board = new Board();
  board.note(report(pool({ replicas: [replica()] })), 10);
  expect(board.wake).toBeNull();
  board.note(report(pool({ replicas: [replica({ phase: 'Ready', readyAtEpochMs: 5_000 })] })), 20);
  board.note(report(pool({ replicas: [replica({ phase: 'Ready', readyAtEpochMs: 9_000 })] })), 30);
  expect(board.wake).toEqual({ requestedAtEpochMs: 1_000, readyAtEpochMs: 5_000 });
});

test('counts and GPU time of a process that died stay counted', () => {
  const board = new Board();
  const counted = (completed: number, busyGpuSeconds: number) =>
    pool({
      objectives: [objective({ outcomes: { completed, failed: 1, cancelled: 0, expired: 0, rejected: 5 } })],
      usage: { ...NO_USAGE, busyGpuSeconds },
    });
  board.note(report(counted(3, 4), 1), 10);
  board.note(report(counted(7, 10), 1), 20);
  board.noteDeath();
  board.note(report(counted(2, 5), 99), 30);
  expect(settledCount(board.lives, 'nightly')).toBe(7 + 1 + 2 + 1);
  expect(totalUsage(board.lives).busyGpuSeconds).toBe(15);
});

test('a stall is the time in which nothing moved', () => {
  const board = new Board();
  expect(board.stalledMs(1_000)).toBe(0);
  expect(board.stalledMs(6_000)).toBe(5_000);
  board.accepted.push(job(0));
  expect(board.stalledMs(7_000)).toBe(0);
  board.note(report(pool({ replicas: [replica()] })), 10);
  expect(board.stalledMs(9_000)).toBe(0);
});

test('a frame on one line tells pods, slots and both objectives', () => {
  const board = new Board();
  board.accepted.push(job(0), job(1), job(2));
  const interactive = objective({ objective: 'interactive', waitingHeld: 1, running: 2 });
  board.note(
    report(
      pool({
        replicas: [replica({ phase: 'Ready' })],
        replicasByPhase: { Ready: 1 },
        slots: { open: 8, used: 3 },
        objectives: [interactive, objective({ stored: 2, running: 1 })],
      }),
    ),
    12_000,
  );
  expect(plainLine(frameOf(board, { jobs: 5, chats: 4 }, 12_000))).toBe(
    ' 12 s: pods 1 Ready, slots 3/8, 0 GPU-s | interactive 0/4 chats (1 wait, 2 stream) | nightly 1/5 jobs (1 wait, 1 run)',
  );
});
