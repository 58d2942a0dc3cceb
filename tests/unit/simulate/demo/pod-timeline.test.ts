import { expect, test } from 'vitest';
import { podChart, podSample } from '../../../../src/simulate/demo/pod-timeline.ts';

test('a sample counts phases: what neither serves nor drains is loading', () => {
  const phases = ['Requested', 'ModelLoading', 'Ready', 'Draining', 'Stuck'] as const;
  expect(
    podSample(
      5,
      phases.map((phase) => ({ phase })),
    ),
  ).toEqual({ atMs: 5, ready: 1, draining: 1, loading: 3 });
});

test('the chart has a row for each replica, filled from below', () => {
  const samples = [
    { atMs: 0, ready: 0, loading: 0, draining: 0 },
    { atMs: 1_000, ready: 0, loading: 1, draining: 0 },
    { atMs: 2_000, ready: 1, loading: 1, draining: 0 },
    { atMs: 3_000, ready: 1, loading: 0, draining: 1 },
    { atMs: 4_000, ready: 0, loading: 0, draining: 0 },
  ];
  expect(podChart(samples, 5_000, 5)).toEqual(['  2 │  ░▒', '  1 │ ░██', '    └─────', expect.any(String)]);
});

test('a replica that lived between two columns only is still drawn', () => {
  const samples = [
    { atMs: 0, ready: 0, loading: 0, draining: 0 },
    { atMs: 400, ready: 1, loading: 0, draining: 0 },
    { atMs: 500, ready: 0, loading: 0, draining: 0 },
  ];
  expect(podChart(samples, 10_000, 10)[0]).toBe('  1 │█');
});

test('the time axis is as wide as the chart and tells the seconds', () => {
  const axis = podChart([], 80_000, 72).at(-1)!;
  expect(axis).toMatch(/^ {5}0s +20s +40s +60s +80s$/);
  expect(axis.length).toBe(5 + 72);
});
