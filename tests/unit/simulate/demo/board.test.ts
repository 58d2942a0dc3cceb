import { expect, test } from 'vitest';
import { batch } from './run-facts.ts';
import type { Replica } from '../../../../src/core/replicas.ts';
import type { ObjectiveReport, PoolReport, StatusReport } from '../../../../src/core/status.ts';
import { Board } from '../../../../src/simulate/demo/board.ts';
import { frameOf, plainLine } from '../../../../src/simulate/demo/frame.ts';
import { completedCount, settledCount, totalUsage } from '../../../../src/simulate/demo/server-lives.ts';

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

test('rows have ended as far as the batch tells', () => {
  const board = new Board();
  expect(board.endedRows).toBe(0);
  board.batch = batch({ status: 'in_progress', completed: 2, failed: 1 });
  expect(board.endedRows).toBe(3);
});

test('without a server, or without its Redis, nothing is taken for asleep', () => {
  const board = new Board();
  expect(board.isAtZero).toBe(false);
  board.note({ ...report(pool()), redis: { source: '', version: '', reachable: false } }, 10);
  expect(board.isAtZero).toBe(false);
  board.note(report(pool()), 20);
  expect(board.isAtZero).toBe(true);
  board.noteDeath();
  expect(board.isAtZero).toBe(false);
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
  expect(completedCount(board.lives, 'nightly')).toBe(7 + 2);
  expect(totalUsage(board.lives).busyGpuSeconds).toBe(15);
});

test('a stall is the time in which nothing moved', () => {
  const board = new Board();
  expect(board.stalledMs(1_000)).toBe(0);
  expect(board.stalledMs(6_000)).toBe(5_000);
  board.batch = batch({ status: 'in_progress', completed: 1 });
  expect(board.stalledMs(7_000)).toBe(0);
  board.note(report(pool({ replicas: [replica()] })), 10);
  expect(board.stalledMs(9_000)).toBe(0);
});

test('a frame on one line tells pods, slots, the chats and the batch', () => {
  const board = new Board();
  board.batch = batch({ status: 'in_progress', total: 5, completed: 1, rowsPerSecond: 1.6, etaMs: 3_000 });
  const interactive = objective({ objective: 'interactive', waitingHeld: 1, running: 2 });
  board.note(
    report(
      pool({
        replicas: [replica({ phase: 'Ready' })],
        replicasByPhase: { Ready: 1 },
        slots: { open: 8, used: 3 },
        objectives: [interactive, objective({ running: 1 })],
      }),
    ),
    12_000,
  );
  expect(plainLine(frameOf(board, { rows: 5, chats: 4 }, 12_000))).toBe(
    ' 12 s: pods 1 Ready, slots 3/8, 0 GPU-s | interactive 0/4 chats (1 wait, 2 stream) | nightly 1/5 rows (3 wait, 1 run, 2/s, 3s left)',
  );
});

test.each([
  { state: null, says: 'nightly 0/5 rows (no batch yet)' },
  { state: batch({ status: 'validating', total: 0, completed: 0 }), says: 'nightly 0/5 rows (validating)' },
  { state: batch({ status: 'finalizing', total: 5, completed: 4, failed: 1 }), says: 'nightly 5/5 rows (finalizing)' },
  {
    state: batch({ status: 'in_progress', total: 5, completed: 0, hold: 'the pool is waking' }),
    says: 'nightly 0/5 rows (5 wait, 0 run, the pool is waking)',
  },
])('a frame says what the batch is at: $says', ({ state, says }) => {
  const board = new Board();
  board.batch = state;
  board.note(report(pool()), 10);
  expect(plainLine(frameOf(board, { rows: 5, chats: 4 }, 10))).toContain(says);
});
