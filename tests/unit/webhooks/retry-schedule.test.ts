import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextAttemptAt } from '../../../src/webhooks/policy/retry-schedule.ts';
import { retryAfterOf } from '../../../src/webhooks/policy/retry-after.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = 1_700_000_000_000;

/** Waits between the attempts of a delivery that always fails at once. */
function waits(giveUpAfterMs: number, chance = 0): number[] {
  const found: number[] = [];
  let nowEpochMs = START;
  for (let attempts = 1; ; attempts += 1) {
    const at = nextAttemptAt({
      attempts,
      roundStartedAtEpochMs: START,
      nowEpochMs,
      retryAfterMs: null,
      giveUpAfterMs,
      chance,
    });
    if (at === null) return found;
    found.push(at - nowEpochMs);
    nowEpochMs = at;
  }
}

describe('the schedule of attempts', () => {
  test('is the one of the Standard Webhooks specification, as far as there is time', () => {
    const hours = [2, 5, 10, 14, 20, 24].map((count) => count * HOUR);
    expect(waits(76 * HOUR)).toEqual([5 * SECOND, 5 * MINUTE, 30 * MINUTE, ...hours]);
    expect(waits(72 * HOUR)).toHaveLength(8);
    expect(waits(MINUTE)).toEqual([5 * SECOND]);
    expect(waits(SECOND)).toEqual([]);
  });

  test('goes on day by day when there is more time', () => {
    expect(waits(200 * HOUR).slice(8)).toEqual(Array.from({ length: 6 }, () => 24 * HOUR));
  });

  test('spreads by up to a tenth', () => {
    expect(waits(76 * HOUR, 0.5)[1]).toBe(5.25 * MINUTE);
  });

  test('never asks again before the receiver wants it, nor after time is up', () => {
    fc.assert(
      fc.property(
        fc.record({
          attempts: fc.integer({ min: 1, max: 50 }),
          agoMs: fc.integer({ min: 0, max: 400 * HOUR }),
          retryAfterMs: fc.option(fc.integer({ min: 0, max: 24 * HOUR })),
          giveUpAfterMs: fc.integer({ min: 1, max: 400 * HOUR }),
          chance: fc.double({ min: 0, max: 0.999, noNaN: true }),
        }),
        ({ agoMs, ...failed }) => {
          const roundStartedAtEpochMs = START - agoMs;
          const at = nextAttemptAt({ ...failed, roundStartedAtEpochMs, nowEpochMs: START });
          if (at === null) return;
          expect(at).toBeGreaterThanOrEqual(START + 5 * SECOND);
          expect(at).toBeGreaterThanOrEqual(START + (failed.retryAfterMs ?? 0));
          expect(at).toBeLessThanOrEqual(roundStartedAtEpochMs + failed.giveUpAfterMs);
        },
      ),
    );
  });
});

describe('Retry-After', () => {
  for (const [text, expected] of [
    ['0', 0],
    [' 120 ', 120_000],
    ['Tue, 14 Nov 2023 22:14:20 GMT', 60_000],
    ['Tue, 14 Nov 2023 22:00:00 GMT', 0],
    ['1.5', null],
    ['-3', null],
    ['99999999999999', null],
    ['soon', null],
    ['', null],
  ] as const) {
    test(`"${text}" asks for ${expected ?? 'nothing'}`, () => {
      expect(retryAfterOf(text, START)).toBe(expected);
    });
  }
});
