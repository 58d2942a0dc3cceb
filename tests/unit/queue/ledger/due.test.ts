import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dueBucketMs } from '../../../../src/queue/policy/ledger/due.ts';
import type { ConfirmOp } from '../../../../src/queue/policy/ledger/stored-ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';

const MINUTE = 60_000;
const work = { objective: 'nightly', priority: -10, bytes: 50, costTokens: 5 };

function deadlinesOf(ledger: LedgerHand) {
  return ledger.snapshot.objectives.find(({ objective }) => objective === 'nightly')?.deadlines ?? [];
}

function confirm(ledger: LedgerHand, id: string, inMs: number, change: Partial<ConfirmOp> = {}): void {
  const deadlineMs = ledger.nowMs + inMs;
  ledger.do('a', { op: 'confirm', id, ...work, acceptedAtMs: 0, deadlineMs, ...change });
}

test('a deadline is brought forward by at most a 32nd of the time that was given, and never put off', () => {
  const property = fc.property(fc.nat(2e12), fc.nat(400 * 24 * 60 * MINUTE), (acceptedAtMs, windowMs) => {
    const earlyMs = acceptedAtMs + windowMs - dueBucketMs(acceptedAtMs + windowMs, acceptedAtMs);
    expect(earlyMs).toBeGreaterThanOrEqual(0);
    expect(earlyMs).toBeLessThanOrEqual(windowMs / 32);
  });
  fc.assert(property);
});

test('jobs that were given a day are told from each other by a few buckets, however many there are', () => {
  const ledger = new LedgerHand();
  for (let index = 0; index < 2_000; index += 1) {
    ledger.pass(43_200);
    confirm(ledger, `j${index}`, 24 * 60 * MINUTE);
  }
  const lines = deadlinesOf(ledger);
  expect(lines.length).toBeLessThanOrEqual(32);
  expect(lines.length).toBeGreaterThan(16);
  expect(lines.reduce((sum, { requests }) => sum + requests, 0)).toBe(2_000);
  expect(lines.reduce((sum, { costTokens }) => sum + costTokens, 0)).toBe(10_000);
});

test('a deadline counts once, moves when the job gets another one, and goes with the outcome', () => {
  const ledger = new LedgerHand();
  const accepted = ledger.nowMs;
  confirm(ledger, 'j1', 32);
  confirm(ledger, 'j1', 32);
  expect(deadlinesOf(ledger)).toEqual([
    { deadlineEpochMs: accepted + 32, acceptedAtEpochMs: accepted, requests: 1, costTokens: 5 },
  ]);
  confirm(ledger, 'j1', 48);
  expect(deadlinesOf(ledger)).toMatchObject([{ deadlineEpochMs: accepted + 48, requests: 1 }]);
  ledger.do('a', { op: 'settle', id: 'j1', objective: 'nightly', token: '', outcome: '{}', recordRef: 'null' });
  expect(deadlinesOf(ledger)).toEqual([]);
});

test('work without a deadline is in none of the lines', () => {
  const ledger = new LedgerHand();
  confirm(ledger, 'j1', 0, { deadlineMs: 0 });
  ledger.do('a', {
    ...{ op: 'setBulk', id: 'b', ...work, requests: 100, deadlineMs: 0, acceptedAtMs: ledger.nowMs },
  });
  expect(deadlinesOf(ledger)).toEqual([]);
});

test('with more deadlines than lines, the last line gathers the rest and is due with the first of it', () => {
  const ledger = new LedgerHand();
  const bulk = { op: 'setBulk', ...work, acceptedAtMs: ledger.nowMs } as const;
  const deadlines = Array.from({ length: 40 }, (_, index) => ledger.nowMs + (index + 1) * MINUTE);
  for (const [index, deadlineMs] of deadlines.entries()) {
    ledger.do('a', { ...bulk, id: `b${index}`, requests: 10, costTokens: 100, deadlineMs });
  }
  confirm(ledger, 'j1', MINUTE / 2);
  const lines = deadlinesOf(ledger);
  expect(lines).toHaveLength(32);
  expect(lines[0]).toMatchObject({ requests: 1 });
  expect(lines[30]).toMatchObject({ deadlineEpochMs: deadlines[29], requests: 10, costTokens: 100 });
  expect(lines[31]).toMatchObject({ deadlineEpochMs: deadlines[30], requests: 100, costTokens: 1_000 });
});

test('two bulks that are due at the same time are one line', () => {
  const ledger = new LedgerHand();
  const deadlineMs = ledger.nowMs + MINUTE;
  const bulk = { op: 'setBulk', ...work, deadlineMs } as const;
  ledger.do('a', { ...bulk, id: 'b1', requests: 10, costTokens: 100, acceptedAtMs: ledger.nowMs });
  ledger.do('a', { ...bulk, id: 'b2', requests: 20, costTokens: 200, acceptedAtMs: ledger.nowMs - 5 });
  expect(deadlinesOf(ledger)).toEqual([
    { deadlineEpochMs: deadlineMs, acceptedAtEpochMs: ledger.nowMs - 5, requests: 30, costTokens: 300 },
  ]);
});
