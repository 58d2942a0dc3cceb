import { describe, expect, test } from 'vitest';
import { queuedOf } from '../../../src/cli/pools/admin-pools.ts';
import { findPool } from '../../../src/cli/pools/find-pool.ts';
import type { PoolDetails, PoolSource, PoolView } from '../../../src/cli/pools/pool-view.ts';
import { untilPool } from '../../../src/cli/pools/wait.ts';
import { renderExplanation } from '../../../src/cli/render/explanation.ts';
import { renderPools, renderQueue } from '../../../src/cli/render/pool-tables.ts';
import { answering, run } from './support.ts';

const NOW = Date.UTC(2030, 0, 1);
const view: PoolView = {
  pool: 'models/llama',
  policy: 'llama',
  models: ['llama'],
  phase: 'Waking',
  ready: 1,
  booting: 2,
  desired: 3,
  replicasByPhase: { Ready: 1, ModelLoading: 2 },
  queued: 40,
  running: 8,
  oldestQueuedAtEpochMs: NOW - 65_000,
  nextReadyAtEpochMs: NOW + 20_000,
  decision: {
    atEpochMs: NOW - 5_000,
    rule: 'backlog',
    sentence: '40 requests need 3',
    wouldChange: ['an empty queue'],
  },
  blockedWhy: null,
  objectives: null,
  targets: [{ name: 'gpu', specReplicas: 3, readyReplicas: 1, bootingReplicas: 2, message: 'held by hand' }],
  conditions: [],
  orders: ['paused: replicas stay as they are until it is resumed'],
};
const options = { nowEpochMs: NOW, useColors: false, where: 'here' };

describe('which pool is meant', () => {
  const pools = ['models/llama', 'models/mixtral', 'shop/llama'].map((pool) => ({
    pool,
    policy: `${pool.split('/')[1]}-policy`,
  }));
  const source = { where: 'the cluster', namespace: null };
  test.each([
    { name: 'mixtral', want: 'models/mixtral' },
    { name: 'models/llama', want: 'models/llama' },
    { name: 'mixtral-policy', want: 'models/mixtral' },
    { name: 'shop/llama-policy', want: 'shop/llama' },
  ])('$name', ({ name, want }) => {
    expect(findPool(name, pools, source).pool).toBe(want);
  });
  test('a name in two namespaces is that of the namespace one works in', () => {
    expect(findPool('llama', pools, { ...source, namespace: 'shop' }).pool).toBe('shop/llama');
  });
  test.each([
    { name: 'llama', want: '"llama" could be models/llama, shop/llama; write it with its namespace' },
    {
      name: 'mixtrl',
      want: 'no pool is called "mixtrl" in the cluster; there are models/llama, models/mixtral, shop/llama; did you mean "models/mixtral"?',
    },
    { name: 'x/y/z', want: 'no pool is called "x/y/z"' },
  ])('$name is refused', ({ name, want }) => {
    expect(() => findPool(name, pools, source)).toThrow(want);
  });
});

test('pools are one line each, with the columns of kubectl', () => {
  const [head, line] = renderPools([view], options).split('\n');
  expect(head).toBe('POOL          READY  BOOTING  DESIRED  QUEUED  OLDEST  PHASE');
  expect(line).toBe('models/llama  1      2        3        40      1m 5s   Waking');
  expect(renderPools([], options)).toContain('no pools in here');
});

test('the queue of a cluster says that it knows totals only', () => {
  const text = renderQueue([view], options);
  expect(text).toContain('models/llama  40      8        1m 5s');
  expect(text).toContain('totals only');
});

test('an explanation has the decision, what would change it, orders, trouble and replicas', () => {
  const details: PoolDetails = {
    ...view,
    conditions: [
      {
        type: 'CapacityAvailable',
        status: 'False',
        reason: 'Unschedulable',
        message: 'no GPU; add nodes.',
        observedGeneration: 1,
        lastTransitionTime: '',
      },
      {
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: 'fine',
        observedGeneration: 1,
        lastTransitionTime: '',
      },
    ],
    replicas: [
      {
        name: 'llama-1',
        phase: 'Pending',
        phaseSinceEpochMs: NOW - 60_000,
        node: null,
        restarts: 1,
        trouble: 'Unschedulable: no GPU',
      },
      { name: 'llama-2', phase: 'Ready', phaseSinceEpochMs: NOW - 90_000, node: 'gpu-0', restarts: 0, trouble: null },
    ],
    replicasUnknownWhy: null,
    components: { live: 3, backlog: 3, keepWarmMs: 60_000, breakEvenRequests: null },
    earlier: [{ atEpochMs: NOW - 60_000, rule: 'immediate', sentence: 'woken' }],
  };
  expect(
    renderExplanation(details, NOW, false),
  ).toBe(`models/llama (ScalePolicy llama) is Waking: 1 ready, 2 booting, 3 wanted; 40 queued, 8 running

Why
  40 requests need 3 (backlog, 5s ago)
  the next replica is expected in 20s

What would change it
  an empty queue

What each rule asks for
  live 3, backlog 3
  keepWarm 1m

Orders of people
  paused: replicas stay as they are until it is resumed

Not well
  CapacityAvailable: Unschedulable: no GPU; add nodes.

Replicas
  llama-1  Pending  for 1m             1 restart
    Unschedulable: no GPU
  llama-2  Ready    for 1m 30s  gpu-0

Targets
  gpu: asks for 3, 1 ready, 2 booting; held by hand

Before
  woken (immediate, 1m ago)
`);
  const unseen = { ...details, phase: null, decision: null, replicas: null, replicasUnknownWhy: 'forbidden' };
  expect(renderExplanation(unseen, NOW, false)).toContain('no controller has looked at this policy');
  expect(renderExplanation(unseen, NOW, false)).toContain('not known: forbidden');
  expect(renderExplanation(details, NOW, true)).toContain('\u001b[');
});

describe('waiting for a pool', () => {
  const source = (views: readonly PoolView[]): PoolSource => {
    const left = [...views];
    return {
      where: 'here',
      namespace: null,
      pools: () => Promise.resolve([(left.length > 1 ? left.shift() : left[0]) ?? view]),
      details: () => Promise.reject(new Error('not asked')),
      order: () => Promise.reject(new Error('not asked')),
      close: () => Promise.resolve(),
    };
  };
  const wait = (tell: (line: string) => void, timeoutMs = 10_000) => ({
    holds: ({ ready }: PoolView) => ready >= 3,
    what: 'ready',
    timeoutMs,
    signal: new AbortController().signal,
    tell,
    lookEveryMs: 1,
  });
  const blocked = (seconds: number): PoolView => ({
    ...view,
    targets: [],
    blockedWhy: `no GPU, next try in ${seconds}s`,
  });

  test('it tells each step once, and no countdown', async () => {
    const lines: string[] = [];
    const done = { ...view, targets: [], phase: 'Ready', ready: 3, replicasByPhase: { Ready: 3 } } satisfies PoolView;
    await untilPool(
      source([blocked(3), blocked(2), blocked(1), done]),
      view,
      wait((line) => lines.push(line.replace(/^\S+ +/, ''))),
    );
    expect(lines).toEqual(['Waking: 1 Ready, 2 ModelLoading: no GPU, next try in 3s', 'Ready: 3 Ready']);
  });
  test('it gives up with what keeps the pool', async () => {
    const never = untilPool(
      source([blocked(3)]),
      view,
      wait(() => undefined, 0),
    );
    await expect(never).rejects.toThrow('models/llama is not ready after 0ms: no GPU, next try in 3s');
  });
  test('a pool that is gone is not waited for', async () => {
    const gone = untilPool(
      source([{ ...view, pool: 'models/other' }]),
      view,
      wait(() => undefined),
    );
    await expect(gone).rejects.toThrow('models/llama is not there any more');
  });
});

test('jobs that wait in the live order are not counted twice', () => {
  const objective = {
    objective: 'o',
    priority: 0,
    bytes: 0,
    oldestWaitMs: null,
    arrivedTotal: 0,
    outcomes: { completed: 0, failed: 0, cancelled: 0, expired: 0, rejected: 0 },
  };
  expect(queuedOf({ ...objective, waitingHeld: 2, waitingStored: 3, running: 4, stored: 10 })).toBe(8);
});

describe('orders on the admin listener', () => {
  const order = { wake: { until: '2030-01-01T00:30:00.000Z', replicas: 2 }, drain: null, paused: false, by: 'ann' };
  const status = {
    nowEpochMs: NOW,
    pools: [
      {
        pool: 'models/llama',
        models: [],
        phase: 'Asleep',
        desiredReplicas: 0,
        replicas: [],
        replicasByPhase: {},
        nextReadyMs: null,
        lastDecision: null,
        blockedWhy: null,
        objectives: [],
      },
    ],
  };
  const open = () =>
    answering({
      '/status': [200, status],
      '/pools/models/llama/wake': [200, order],
      '/pools/models/llama/drain': [403, { error: { message: 'may not.', code: 'admin_forbidden' } }],
    });

  test('are sent as JSON with the token, and answered with what is in force', async () => {
    const server = open();
    const environment = { PILOTLIGHT_ADMIN_TOKEN: 'secret' };
    const { stdout, stderr, exitCode } = await run(['wake', 'llama', '--for', '30m', '--replicas', '2'], {
      ...server,
      environment,
    });
    expect({ stdout, stderr, exitCode }).toEqual({
      stdout: 'at least 2 replicas are kept up until 2030-01-01T00:30:00Z (ordered by ann)\n',
      stderr: 'models/llama: told to keep 2 up for 30m\n',
      exitCode: 0,
    });
    const sent = server.requests.at(-1);
    expect(sent).toMatchObject({ method: 'POST', body: { for: '1800000ms', replicas: 2 } });
    expect(sent?.headers.get('authorization')).toBe('Bearer secret');
  });
  test('are refused with the reason', async () => {
    const { stderr, exitCode } = await run(['drain', 'llama'], open());
    expect({ stderr, exitCode }).toEqual({ stderr: 'pilotlight: may not (admin_forbidden)\n', exitCode: 1 });
  });
  test.each([
    { argv: ['wake', 'llama', '--for', '8d'], want: 'at most 7d' },
    { argv: ['wake', 'llama', '--replicas', '0'], want: 'from 1 to 1000' },
    {
      argv: ['pools', '--admin-url', 'http://x', '-n', 'y'],
      want: '--admin-url means an admin listener and -n a cluster',
    },
    { argv: ['pools', '-A', '-n', 'y'], want: '-A means all namespaces and -n one' },
    { argv: ['pools', '--kubeconfig', '/none'], want: 'kubeconfig /none is not usable' },
    { argv: ['init'], want: "required option '--from <kind/name>' not specified" },
    { argv: ['pools', '--token-file', '/none'], want: '--token-file: "/none" cannot be read' },
  ])('$argv is refused', async ({ argv, want }) => {
    const { stderr, exitCode } = await run(argv, open());
    expect(stderr).toContain(want);
    expect(exitCode).toBe(2);
  });
});
