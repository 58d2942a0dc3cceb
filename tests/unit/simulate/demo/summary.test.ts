import { expect, test } from 'vitest';
import { percentile } from '../../../../src/simulate/demo/percentile.ts';
import { type DemoSummary, renderSummary } from '../../../../src/simulate/demo/summary.ts';

const summary = (changes: Partial<DemoSummary> = {}): DemoSummary => ({
  elapsedMs: 81_000,
  objectives: [
    {
      name: 'interactive',
      priority: 100,
      accepted: 20,
      completed: 20,
      failed: 0,
      shed: 0,
      waitsMs: [4, 9, 3_000],
      ttftsMs: [110, 240, 4_400],
    },
    {
      name: 'nightly',
      priority: -10,
      accepted: 2_000,
      completed: 2_000,
      failed: 0,
      shed: 3,
      waitsMs: [31_000, 62_000],
      ttftsMs: [],
    },
  ],
  wokenTtftsMs: [4_400],
  warmTtftsMs: [110, 240],
  wake: { totalMs: 4_200, bootMs: 4_000 },
  podChart: ['  1 │░██', '    └───', '     0s'],
  usage: {
    loadingGpuSeconds: 10,
    idleGpuSeconds: 5,
    busyGpuSeconds: 135,
    alwaysOnGpuSeconds: 250,
    costUsd: 0.104,
    alwaysOnCostUsd: 0.174,
  },
  maxReplicas: 3,
  serverDeaths: 0,
  cutChats: 0,
  retriedRows: 0,
  broken: [],
  checkedTexts: 2_020,
  files: [['output', '.pilotlight/demo-1/results.jsonl']],
  nextCommands: [['npm start -- --keep', 'stays up']],
  ...changes,
});

test('the summary says that the model servers were simulators, and fits 100 columns', () => {
  const text = renderSummary(summary());
  expect(text).toContain('model servers were simulators');
  expect(Math.max(...text.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(100);
});

test('each objective has its counts and percentiles; what was not measured is a dash', () => {
  const rows = renderSummary(summary()).split('\n');
  expect(
    rows
      .find((row) => row.includes('interactive'))
      ?.trim()
      .split(/\s{2,}/),
  ).toEqual(['interactive', '100', '20', '20', '0', '0', '9 ms', '3.0 s', '240 ms', '4.4 s']);
  expect(
    rows
      .find((row) => row.includes('nightly'))
      ?.trim()
      .split(/\s{2,}/),
  ).toEqual(['nightly', '-10', '2,000', '2,000', '0', '3', '31 s', '62 s', '–', '–']);
});

test.each([
  { name: 'the saving against always on', says: '150 GPU-seconds (135 busy, 10 loading, 5 idle) against 250' },
  { name: 'the saving in percent', says: '40 % saved' },
  { name: 'what a day would take', says: 'with one such run a day 0.04 GPU-hours against 72' },
  { name: 'the money', says: '$0.104 instead of $0.174' },
  { name: 'the wake', says: '4.2 s from the first request to a ready replica; its boot took 4.0 s' },
  { name: 'the chats that met a sleeping pool apart', says: 'asleep: p50 4.4 s, p95 4.4 s (1 chat);' },
  { name: 'the output file', says: '.pilotlight/demo-1/results.jsonl' },
  { name: 'what to try next', says: 'npm start -- --keep   stays up' },
  { name: 'what was checked', says: '2,020 accepted requests have one outcome each' },
])('the summary tells $name', ({ says }) => {
  expect(renderSummary(summary())).toContain(says);
});

test('a broken promise replaces the claim that all is well', () => {
  const text = renderSummary(summary({ broken: ['1 rows have a wrong text: T-100001'] }));
  expect(text).toContain('Not as promised:\n  - 1 rows have a wrong text: T-100001');
  expect(text).not.toContain('Checked:');
});

test('a run without a wake, money or GPU time is summarised as well', () => {
  const usage = {
    loadingGpuSeconds: 0,
    idleGpuSeconds: 0,
    busyGpuSeconds: 0,
    alwaysOnGpuSeconds: 0,
    costUsd: 0,
    alwaysOnCostUsd: 0,
  };
  const text = renderSummary(summary({ wake: null, usage, wokenTtftsMs: [], warmTtftsMs: [] }));
  expect(text).toContain('0 % saved');
  expect(text).not.toMatch(/money|NaN|undefined|null/);
});

test('rows that needed more than one try are told, when there are any', () => {
  expect(renderSummary(summary())).not.toContain('retried');
  expect(renderSummary(summary({ retriedRows: 12 }))).toMatch(/retried +12 rows/);
});

test('deaths of the serving process are told with the chats that they cut', () => {
  const text = renderSummary(summary({ serverDeaths: 1, cutChats: 2 }));
  expect(text).toContain('the serving process died once and was started again, 2 chats cut');
});

test.each([
  { values: [], share: 0.5, want: null },
  { values: [7], share: 0.95, want: 7 },
  { values: [4, 1, 3, 2], share: 0.5, want: 2 },
  { values: Array.from({ length: 100 }, (_value, index) => index + 1), share: 0.95, want: 95 },
])('percentile $share of $values.length values is by nearest rank', ({ values, share, want }) => {
  expect(percentile(values, share)).toBe(want);
});
