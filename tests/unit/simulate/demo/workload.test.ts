import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planWorkload, type WorkloadShape } from '../../../../src/simulate/demo/workload.ts';
import type { TraceRequest } from '../../../../src/simulate/trace.ts';

const shape: WorkloadShape = { rows: 4, chats: 2, rowsAfterMs: 1_000, chatsWithinMs: 5_000 };

const row = (arrivalMs: number, contextTokens = 500, generatedTokens = 100): TraceRequest => ({
  arrivalMs,
  contextTokens,
  generatedTokens,
});

test('chats are taken evenly from the trace, the first request among them', () => {
  const rows = [0, 1, 2, 3, 4, 5].map((index) => row(index * 1_000, 500 + index));
  const { chats, rows: ofBatch } = planWorkload(rows, shape);
  expect(chats.map(({ promptTokens }) => promptTokens)).toEqual([500, 503]);
  expect(ofBatch.map(({ promptTokens }) => promptTokens)).toEqual([501, 502, 504, 505]);
});

test('chats keep their relative gaps, compressed into their time; the rows come in together', () => {
  const rows = [0, 10_000, 20_000, 30_000, 40_000, 90_000].map((arrivalMs) => row(arrivalMs));
  const { chats, rows: ofBatch } = planWorkload(rows, shape);
  expect(chats.map(({ atMs }) => atMs)).toEqual([0, 5_000]);
  expect(ofBatch.map(({ atMs }) => atMs)).toEqual([1_000, 1_000, 1_000, 1_000]);
});

test('token counts are cut to what a model server takes', () => {
  const { chats } = planWorkload([row(0, 1, 1), row(1, 90_000, 90_000)], { ...shape, rows: 0 });
  expect(chats.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
    [64, 8],
    [6_144, 1_024],
  ]);
});

test('every request of the trace is dealt out once, whatever the numbers', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.nat(60), (count, chats) => {
      const rows = Array.from({ length: count + chats }, (_row, index) => row(index));
      const plan = planWorkload(rows, { ...shape, rows: count, chats });
      expect([plan.rows.length, plan.chats.length]).toEqual([count, chats]);
      expect(plan.rows.map(({ index }) => index)).toEqual([...plan.rows.keys()]);
      expect(plan.chats.every(({ atMs }) => atMs >= 0 && atMs <= shape.chatsWithinMs)).toBe(true);
    }),
  );
});
