import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.ts';
import type { TraceRequest } from '../../../src/simulate/trace.ts';
import { generateTrace, quantile } from '../../../src/simulate/trace-generator.ts';
import {
  AZURE_CONVERSATION,
  CONTEXT_TOKENS,
  GENERATED_AT,
  GENERATED_TOKENS_BY_CONTEXT,
} from '../../../src/simulate/trace-statistics.ts';

const LONG = [...generateTrace({ requests: 200_000 }, seededRandom(7))];

function share(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(part * values.length)]!;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2))) / centre;
}

function gaps(trace: readonly TraceRequest[]): number[] {
  return trace.slice(1).map((request, index) => request.arrivalMs - trace[index]!.arrivalMs);
}

test.each(['contextTokens', 'generatedTokens'] as const)(
  '%s have the quantiles and the mean that were measured',
  (field) => {
    const values = LONG.map((request) => request[field]);
    const measured = AZURE_CONVERSATION[field];
    const within = (value: number, wanted: number) => expect(Math.abs(value / wanted - 1)).toBeLessThan(0.05);
    within(share(values, 0.1), measured.p10);
    within(share(values, 0.5), measured.p50);
    within(share(values, 0.9), measured.p90);
    within(share(values, 0.99), measured.p99);
    within(mean(values), measured.mean);
  },
);

test('answers to prompts of about 1,000 tokens are long, and to others short, as measured', () => {
  const median = (from: number, to: number) =>
    share(
      LONG.filter(({ contextTokens }) => contextTokens >= from && contextTokens < to).map(
        (request) => request.generatedTokens,
      ),
      0.5,
    );
  expect(median(1_000, 1_150)).toBeGreaterThan(380);
  expect(median(300, 700)).toBeLessThan(120);
  expect(median(2_000, 20_000)).toBeLessThan(120);
});

test('arrivals have the rate and the burstiness that were measured', () => {
  const all = gaps(LONG);
  expect(all.every((gapMs) => gapMs >= 0)).toBe(true);
  expect(1_000 / mean(all)).toBeGreaterThan(AZURE_CONVERSATION.ratePerSecond * 0.9);
  expect(1_000 / mean(all)).toBeLessThan(AZURE_CONVERSATION.ratePerSecond * 1.1);
  expect(Math.abs(variation(all) - AZURE_CONVERSATION.gapVariation)).toBeLessThan(0.03);
});

test('another rate is the same trace played faster', () => {
  const slow = [...generateTrace({ requests: 500 }, seededRandom(3))];
  const fast = [
    ...generateTrace({ requests: 500, ratePerSecond: AZURE_CONVERSATION.ratePerSecond * 10 }, seededRandom(3)),
  ];
  fast.forEach((request, index) => {
    expect(request.arrivalMs * 10).toBeCloseTo(slow[index]!.arrivalMs, 3);
    expect(request.contextTokens).toBe(slow[index]!.contextTokens);
  });
});

test('the same seed gives the same trace, another one a different', () => {
  const trace = (seed: number) => [...generateTrace({ requests: 50 }, seededRandom(seed))];
  expect(trace(1)).toEqual(trace(1));
  expect(trace(1)).not.toEqual(trace(2));
});

test('the tables rise and have a value for each row', () => {
  const rising = (values: readonly number[]) =>
    values.every((value, index) => index === 0 || value >= values[index - 1]!);
  expect(CONTEXT_TOKENS.at).toHaveLength(CONTEXT_TOKENS.value.length);
  expect(rising(CONTEXT_TOKENS.at) && rising(CONTEXT_TOKENS.value)).toBe(true);
  for (const row of GENERATED_TOKENS_BY_CONTEXT) {
    expect(row).toHaveLength(GENERATED_AT.length);
    expect(rising(row)).toBe(true);
  }
});

test('a quantile between two rows lies on the line between them', () => {
  const table = { at: [0, 0.5, 1], value: [10, 20, 60] };
  expect([0, 0.25, 0.5, 0.75, 1].map((part) => quantile(table, part))).toEqual([10, 15, 20, 40, 60]);
});
