import { expect, test } from 'vitest';
import { renderStatus } from '../../../src/cli/render/status-tables.ts';
import type { ObjectiveReport, PoolReport, StatusReport } from '../../../src/core/status.ts';
import { answering, run } from './support.ts';

const objective: ObjectiveReport = {
  objective: 'nightly',
  priority: -10,
  waitingHeld: 0,
  waitingStored: 40,
  running: 32,
  stored: 1_234,
  bytes: 2_621_440,
  oldestWaitMs: 65_000,
  arrivedTotal: 2_000,
  outcomes: { completed: 760, failed: 1, cancelled: 0, expired: 0, rejected: 5 },
};
const pool: PoolReport = {
  pool: 'default/tickets',
  models: ['tickets', 'gpt-4o-mini'],
  phase: 'Waking',
  desiredReplicas: 2,
  replicas: [
    {
      uid: 'r1',
      pool: 'default/tickets',
      target: 'local',
      phase: 'Stuck',
      requestedAtEpochMs: 0,
      phaseSinceEpochMs: 0,
      readyAtEpochMs: null,
      endpointIds: [],
      message: 'exited with code 1',
      trouble: null,
      restarts: 2,
    },
  ],
  replicasByPhase: { Ready: 1, ModelLoading: 1 },
  slots: { open: 16, used: 12 },
  nextReadyMs: { p50: 3_000, p90: 5_000 },
  lastDecision: { atEpochMs: 88_000, rule: 'backlog', sentence: '1,234 stored requests need 2 replicas' },
  blockedWhy: null,
  objectives: [objective],
  usage: {
    loadingGpuSeconds: 5,
    idleGpuSeconds: 5,
    busyGpuSeconds: 80,
    alwaysOnGpuSeconds: 300,
    costUsd: 0.0625,
    alwaysOnCostUsd: 0.208,
  },
};
const report: StatusReport = {
  version: '1.2.3',
  installation: 'local',
  startedAtEpochMs: 0,
  nowEpochMs: 100_000,
  ready: true,
  problems: ['examples/local.yaml:3:1: spec.x: unknown key'],
  redis: { source: 'valkey 8.1, started here', version: '8.1', reachable: true },
  pools: [pool],
};

const lines = (text: string) => text.split('\n');

test('pools, objectives, reasons and problems, without colours where nobody looks', () => {
  expect(lines(renderStatus(report, false))).toEqual([
    'Pilotlight 1.2.3 "local": ready, up 1m 40s. Redis: valkey 8.1, started here',
    '',
    'Pool             Phase   Replicas  Warm-up                  Slots  Boot         GPU time (always on)        Models',
    'default/tickets  Waking  1 → 2     1 Ready, 1 ModelLoading  12/16  ready in 3s  1m 30s (5m), $0.06 ($0.21)  tickets, gpt-4o-mini',
    '',
    'Pool             Objective  Priority  Held  Stored  Running  Bytes  Oldest waits  Ended',
    'default/tickets  nightly    -10       0     1234    32       2.5Mi  1m 5s         760 completed, 1 failed, 5 rejected',
    'default/tickets: 1,234 stored requests need 2 replicas (backlog, 12s ago)',
    'default/tickets: r1: exited with code 1',
    '! examples/local.yaml:3:1: spec.x: unknown key',
    '',
  ]);
});

test('colours are escape codes and nothing else', () => {
  const plain = renderStatus(report, true).replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g'), '');
  expect(plain).toBe(renderStatus(report, false));
});

test('an empty and a troubled installation say so', () => {
  const text = renderStatus(
    { ...report, ready: false, pools: [], problems: [], redis: { ...report.redis, reachable: false } },
    false,
  );
  expect(lines(text)).toEqual([
    'Pilotlight 1.2.3 "local": not ready, up 1m 40s. Redis not reachable: valkey 8.1, started here',
    'no pools; add objects with -f and see docs/objects.md',
    '',
  ]);
  const blocked = { ...pool, blockedWhy: 'three boots in a row failed', lastDecision: null, replicas: [] };
  expect(renderStatus({ ...report, pools: [blocked] }, false)).toContain(
    'default/tickets: no capacity: three boots in a row failed\n',
  );
});

test('the command prints it as tables or as JSON', async () => {
  const { fetch } = answering({ '/status': [200, report] });
  expect((await run(['status'], { fetch })).stdout).toBe(renderStatus(report, false));
  expect(JSON.parse((await run(['status', '-o', 'json'], { fetch })).stdout)).toEqual(report);
});
