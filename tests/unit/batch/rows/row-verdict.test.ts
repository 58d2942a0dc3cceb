import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeRow, type RowEnding, type RowFacts } from '../../../../src/batch/policy/rows/row-verdict.ts';
import { ERROR_CODES } from '../../../../src/core/errors.ts';

const FACTS: RowFacts = {
  attempts: 1,
  maxAttempts: 5,
  crashes: 0,
  ranAlone: false,
  nowEpochMs: 1_000,
  deadlineEpochMs: 10_000_000,
  jitter: 0,
};
const answered = (httpStatus: number): RowEnding => ({ kind: 'answered', httpStatus });
const failed = (
  code: Extract<RowEnding, { kind: 'failed' }>['code'],
  retryAfterMs: number | null = null,
): RowEnding => ({
  kind: 'failed',
  code,
  retryAfterMs,
});

describe('a row', () => {
  test.each([
    ['answered 200 is completed', answered(200), {}, { kind: 'end', state: 'completed' }],
    ['answered 400 has failed for good', answered(400), {}, { kind: 'end', state: 'failed' }],
    ['answered 404 has failed for good', answered(404), {}, { kind: 'end', state: 'failed' }],
    ['answered 409 is tried again', answered(409), {}, { kind: 'retry', delayMs: 500, alone: false }],
    ['answered 429 is tried again', answered(429), {}, { kind: 'retry', delayMs: 500, alone: false }],
    ['answered 503 is tried again', answered(503), {}, { kind: 'retry', delayMs: 500, alone: false }],
    [
      'waits longer after each try',
      answered(503),
      { attempts: 3, jitter: 0.5 },
      { kind: 'retry', delayMs: 3_000, alone: false },
    ],
    [
      'waits a minute at most',
      answered(503),
      { attempts: 12, maxAttempts: 20, jitter: 1 },
      { kind: 'retry', delayMs: 60_000, alone: false },
    ],
    [
      'comes back when it was told to',
      failed('upstream_error', 7_000),
      {},
      { kind: 'retry', delayMs: 7_000, alone: false },
    ],
    ['fails with its last attempt', answered(503), { attempts: 5 }, { kind: 'end', state: 'failed' }],
    [
      'whose engine is not there is tried again',
      failed('upstream_unreachable'),
      {},
      { kind: 'retry', delayMs: 500, alone: false },
    ],
    [
      'whose answer is too large has failed for good',
      failed('upstream_response_too_large'),
      {},
      { kind: 'end', state: 'failed' },
    ],
    [
      'whose engine broke for the third time runs alone',
      failed('upstream_aborted'),
      { attempts: 3, crashes: 3 },
      { kind: 'retry', delayMs: 2_000, alone: true },
    ],
    [
      'whose engine broke while it ran alone is given up',
      failed('upstream_aborted'),
      { attempts: 4, crashes: 4, ranAlone: true },
      { kind: 'quarantine' },
    ],
    [
      'whose engine only erred is no suspect',
      failed('upstream_error'),
      { crashes: 3 },
      { kind: 'retry', delayMs: 500, alone: false },
    ],
    ['is left to the expiry when no time is left', answered(503), { deadlineEpochMs: 1_400 }, { kind: 'leave' }],
  ] as const)('%s', (_name, ending, facts, verdict) => {
    expect(judgeRow(ending, { ...FACTS, ...facts })).toEqual(verdict);
  });

  test('is never tried more often than allowed, nor after its deadline', () => {
    const ending = fc.oneof(
      fc.integer({ min: 200, max: 599 }).map(answered),
      fc.constantFrom(...ERROR_CODES).map((code) => failed(code)),
    );
    fc.assert(
      fc.property(
        ending,
        fc.integer({ min: 1, max: 20 }),
        fc.nat(100_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (end, attempts, leftMs, jitter) => {
          const facts = { ...FACTS, attempts, jitter, deadlineEpochMs: FACTS.nowEpochMs + leftMs };
          const verdict = judgeRow(end, facts);
          if (verdict.kind !== 'retry') return;
          expect(attempts).toBeLessThan(FACTS.maxAttempts);
          expect(verdict.delayMs).toBeLessThan(leftMs);
          expect(verdict.delayMs).toBeGreaterThanOrEqual(500);
          expect(verdict.delayMs).toBeLessThanOrEqual(60_000);
        },
      ),
    );
  });
});
