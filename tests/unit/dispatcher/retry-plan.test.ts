import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ERROR_CODES } from '../../../src/core/errors.ts';
import {
  classifyStatus,
  FAILURE_REASONS,
  failureOfStatus,
  failureRule,
} from '../../../src/dispatcher/policy/failure.ts';
import {
  BASE_BACKOFF_MS,
  type FailedAttempt,
  MAX_BACKOFF_MS,
  planRetry,
} from '../../../src/dispatcher/policy/retry-plan.ts';

const failed = (changes: Partial<FailedAttempt> = {}): FailedAttempt => ({
  reason: 'reset',
  begun: false,
  attempt: 1,
  maxAttempts: 3,
  othersAvailable: true,
  jitter: 0,
  ...changes,
});

describe('planRetry', () => {
  test.each([
    { name: 'another endpoint at once', given: {}, want: { kind: 'retry', exclude: true, backoffMs: 0 } },
    { name: 'never after the first byte', given: { begun: true }, want: { kind: 'fail', code: 'upstream_aborted' } },
    {
      name: 'the last attempt names the exhaustion',
      given: { attempt: 3 },
      want: { kind: 'fail', code: 'attempts_exhausted' },
    },
    {
      name: 'a single attempt names its own failure',
      given: { maxAttempts: 1 },
      want: { kind: 'fail', code: 'upstream_aborted' },
    },
    {
      name: 'an overall timeout leaves no time',
      given: { reason: 'overall_timeout' },
      want: { kind: 'fail', code: 'upstream_timeout' },
    },
    {
      name: 'too large stays too large',
      given: { reason: 'too_large' },
      want: { kind: 'fail', code: 'upstream_response_too_large' },
    },
    {
      name: 'the only endpoint rests first',
      given: { othersAvailable: false },
      want: { kind: 'retry', exclude: false, backoffMs: BASE_BACKOFF_MS },
    },
  ] as const)('$name', ({ given, want }) => {
    expect(planRetry(failed(given))).toEqual(want);
  });

  test('it ends, is bounded, and repeats nothing that had begun', () => {
    const attempts = fc.record({
      reason: fc.constantFrom(...FAILURE_REASONS),
      begun: fc.boolean(),
      attempt: fc.integer({ min: 1, max: 12 }),
      maxAttempts: fc.integer({ min: 1, max: 12 }),
      othersAvailable: fc.boolean(),
      jitter: fc.double({ min: 0, max: 0.999, noNaN: true }),
    });
    fc.assert(
      fc.property(attempts, (attempt) => {
        const plan = planRetry(attempt);
        if (plan.kind === 'fail') return;
        expect(attempt.begun).toBe(false);
        expect(attempt.attempt).toBeLessThan(attempt.maxAttempts);
        expect(plan.backoffMs).toBeLessThanOrEqual(MAX_BACKOFF_MS * 1.5);
        expect(plan.exclude).toBe(attempt.othersAvailable);
        expect(plan.backoffMs > 0).toBe(!attempt.othersAvailable);
      }),
    );
  });
});

describe('HTTP statuses', () => {
  test.each([
    { status: 200, want: 'answer' },
    { status: 204, want: 'answer' },
    { status: 301, want: 'redirected' },
    { status: 400, want: 'refusal' },
    { status: 404, want: 'refusal' },
    { status: 408, want: 'unavailable' },
    { status: 422, want: 'refusal' },
    { status: 425, want: 'unavailable' },
    { status: 429, want: 'busy' },
    { status: 500, want: 'server_error' },
    { status: 502, want: 'unavailable' },
    { status: 503, want: 'busy' },
    { status: 504, want: 'unavailable' },
    { status: 599, want: 'server_error' },
  ])('$status is $want', ({ status, want }) => {
    const meaning = classifyStatus(status);
    expect(meaning.kind === 'failed' ? meaning.failure.reason : meaning.kind).toBe(want);
  });

  test('only what the engine understood and refused is final', () => {
    for (let status = 300; status < 600; status += 1) {
      const final = failureOfStatus(status) === null;
      expect(final).toBe(status >= 400 && status < 500 && ![408, 425, 429].includes(status));
    }
  });
});

test('every failure maps to a code of the catalogue', () => {
  for (const reason of FAILURE_REASONS) expect(ERROR_CODES).toContain(failureRule(reason).code);
});
