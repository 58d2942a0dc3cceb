import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { windowMs } from '../../../../src/batch/policy/lifecycle/create-rules.ts';
import * as generations from '../../../../src/batch/policy/lifecycle/generations.ts';
import { type HoldFacts, holdOf, type PoolState } from '../../../../src/batch/policy/lifecycle/hold.ts';
import { shouldGive, toTake } from '../../../../src/batch/policy/lifecycle/keeper-share.ts';
import { PACE_WINDOW_MS, type PaceSample, paceOf, withSample } from '../../../../src/batch/policy/lifecycle/pace.ts';
import { NOTHING_LIVE, viewOf } from '../../../../src/batch/policy/lifecycle/view.ts';
import type { BatchDoc } from '../../../../src/batch/ports.ts';
import {
  batchDoc,
  batchFinal,
  batchPlan,
  rowGroup,
  rowTotals,
  START_EPOCH_MS,
} from '../../../support/batch/batch-doc.ts';

describe('generations of a batch', () => {
  type Change = (doc: BatchDoc, nowEpochMs: number) => BatchDoc | null;
  const CHANGES: Record<string, Change> = {
    validated: (doc, now) => generations.validated(doc, batchPlan(), doc.wishes.objective, now),
    rejected: (doc, now) => generations.rejected(doc, [], now),
    paused: (doc, now) => generations.paused(doc, 'paused', 'p', now),
    resumed: (doc) => generations.resumed(doc),
    reprioritised: (doc) => generations.reprioritised(doc, 'nightly'),
    extended: (doc) => generations.extended(doc, doc.expiresAtEpochMs + 1_000),
    cancelling: (doc, now) => generations.cancelling(doc, now),
    expiring: (doc) => generations.expiring(doc, doc.expiresAtEpochMs),
    finalizing: (doc, now) => generations.finalizing(doc, now),
    endedWithoutRows: (doc, now) => generations.endedWithoutRows(doc, now),
    ended: (doc, now) => (doc.plan ? generations.ended(doc, batchFinal(), now) : null),
    settled: (doc) => generations.settled(doc),
    retried: (doc) => generations.retriedAs(doc, 'batch_2'),
  };
  /** Of the contract, src/core/batches.ts. */
  const ALLOWED: Record<string, readonly string[]> = {
    validating: ['in_progress', 'failed', 'cancelling', 'expired'],
    in_progress: ['finalizing', 'expired', 'cancelling'],
    finalizing: ['completed'],
    cancelling: ['cancelled'],
  };

  it('follow the table of states, one by one, whatever is tried in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Object.keys(CHANGES)), { maxLength: 40 }), (tries) => {
        let doc = batchDoc();
        for (const [step, name] of tries.entries()) {
          const next = CHANGES[name]?.(doc, START_EPOCH_MS + step) ?? null;
          if (next === null) continue;
          expect(next.generation).toBe(doc.generation + 1);
          if (next.status !== doc.status) expect(ALLOWED[doc.status]).toContain(next.status);
          if (doc.final !== null) expect(next.final).toEqual(doc.final);
          const isFinal = ['failed', 'completed', 'expired', 'cancelled'].includes(next.status);
          expect(next.final !== null).toBe(isFinal);
          doc = next;
        }
      }),
    );
  });

  it('show each status with its own stamp', () => {
    const running = generations.validated(batchDoc(), batchPlan(), null, 1) ?? batchDoc();
    const finalizing = generations.finalizing(running, 2) ?? running;
    const completed = generations.ended(finalizing, batchFinal(), 3);
    expect(completed?.stamps).toEqual({
      ...generations.NO_STAMPS,
      inProgressAtEpochMs: 1,
      finalizingAtEpochMs: 2,
      completedAtEpochMs: 3,
    });
  });
});

describe('windows', () => {
  it.each([
    ['24h', 24 * 3_600_000],
    ['30m', 1_800_000],
    ['7d', 7 * 24 * 3_600_000],
    ['31d', null],
    ['0h', null],
    ['24', null],
    ['1.5h', null],
    ['-1h', null],
    ['24h ', null],
    ['999999999h', null],
  ])('%j is %j ms', (text, expected) => {
    expect(windowMs(text)).toBe(expected);
  });
});

describe('the pace of a batch', () => {
  it('is the rows of the last minute, and an ETA from it', () => {
    let samples: readonly PaceSample[] = [];
    for (let second = 0; second <= 300; second += 1) {
      samples = withSample(samples, {
        atEpochMs: second * 1_000,
        ended: second < 200 ? second : 200 + (second - 200) * 5,
      });
    }
    expect(paceOf(samples, 100)).toEqual({ rowsPerSecond: 5, etaMs: 20_000 });
  });

  it('is not known at first, and none when nothing moves', () => {
    const first = withSample([], { atEpochMs: 0, ended: 0 });
    expect(paceOf(first, 10)).toEqual({ rowsPerSecond: null, etaMs: null });
    const later = withSample(first, { atEpochMs: 30_000, ended: 0 });
    expect(paceOf(later, 10)).toEqual({ rowsPerSecond: 0, etaMs: null });
  });

  it('keeps few samples however often it is asked, and starts anew when a count goes back', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 5 }))), (moves) => {
        let samples: readonly PaceSample[] = [];
        let atEpochMs = 0;
        let ended = 0;
        for (const [byMs, rows] of moves) {
          atEpochMs += byMs;
          ended += rows;
          samples = withSample(samples, { atEpochMs, ended });
        }
        expect(samples.length).toBeLessThanOrEqual(PACE_WINDOW_MS / 900 + 2);
        expect(paceOf(samples, 10).rowsPerSecond ?? 0).toBeGreaterThanOrEqual(0);
      }),
    );
    expect(withSample([{ atEpochMs: 0, ended: 50 }], { atEpochMs: 1_000, ended: 10 })).toHaveLength(1);
  });
});

describe('the share of a keeper', () => {
  const free = (...looks: number[]) => looks.map((count, index) => ({ id: `b${index}`, looks: count }));

  it.each([
    { what: 'alone it takes all', view: { free: free(1, 1, 1), held: 0, live: 3, keepers: 1 }, takes: 3 },
    { what: 'one of three takes a third', view: { free: free(1, 1, 1), held: 0, live: 3, keepers: 3 }, takes: 1 },
    { what: 'with its share it takes none', view: { free: free(1), held: 2, live: 4, keepers: 2 }, takes: 0 },
    { what: 'what is free for long is taken anyway', view: { free: free(3), held: 2, live: 4, keepers: 2 }, takes: 1 },
    { what: 'nobody counted still is one', view: { free: free(1), held: 0, live: 1, keepers: 0 }, takes: 1 },
  ])('$what', ({ view, takes }) => {
    expect(toTake(view)).toHaveLength(takes);
  });

  it('is given away only well above it, and never by the only one', () => {
    expect(shouldGive({ held: 4, live: 4, keepers: 2 })).toBe(true);
    expect(shouldGive({ held: 3, live: 4, keepers: 2 })).toBe(false);
    expect(shouldGive({ held: 9, live: 9, keepers: 1 })).toBe(false);
  });
});

describe('why no row runs', () => {
  const doc = batchDoc({ status: 'in_progress', plan: batchPlan() });
  const pool = (kind: PoolState['kind']) => ({ pool: 'default/chat', state: { kind, message: 'so it is' } });
  const facts: HoldFacts = { totals: rowTotals({ pending: 3 }), rowsRunning: 0, pools: [pool('serving')], ahead: 0 };
  const rates = (requests: number, tokens: number | null): NonNullable<HoldFacts['rates']> => {
    const left = (remaining: number) => ({ limitPerMinute: 60_000, remaining, resetMs: 30_000 });
    return { requests: left(requests), tokens: tokens === null ? null : left(tokens) };
  };
  const pause = { reason: 'failing', message: 'all 404', sinceEpochMs: 0 } as const;

  it.each([
    { what: 'the pool wakes', changes: { pools: [pool('waking')] }, reason: 'scaling_from_zero' },
    {
      what: 'the pool wakes, and rows wait for its first slots',
      changes: { pools: [pool('waking')], rowsRunning: 4 },
      reason: 'scaling_from_zero',
    },
    { what: 'one pool cannot come', changes: { pools: [pool('waking'), pool('no_capacity')] }, reason: 'no_capacity' },
    { what: 'one of two pools serves', changes: { pools: [pool('waking'), pool('serving')] }, reason: undefined },
    { what: 'others are due earlier', changes: { ahead: 2 }, reason: 'queued_behind' },
    { what: 'others are due earlier, and it runs as well', changes: { ahead: 2, rowsRunning: 1 }, reason: undefined },
    { what: 'its tenant has no request left', changes: { rates: rates(0, null), ahead: 2 }, reason: 'quota' },
    { what: 'its tenant has no tokens left for a row', changes: { rates: rates(1, 1) }, reason: 'quota' },
    { what: 'its tenant is within its rates', changes: { rates: rates(1, 60_000) }, reason: undefined },
    {
      what: 'its tenant used its rate on what runs',
      changes: { rates: rates(0, 0), rowsRunning: 3 },
      reason: undefined,
    },
    { what: 'nothing is pending', changes: { totals: rowTotals(), pools: [pool('waking')] }, reason: undefined },
    { what: 'nobody knows', changes: { totals: null, pools: [pool('waking')] }, reason: undefined },
    { what: 'it is failing', changes: {}, of: { ...doc, pause }, reason: 'failing' },
    {
      what: 'it is ending',
      changes: { pools: [pool('waking')] },
      of: { ...doc, ending: 'expired' as const },
      reason: undefined,
    },
  ])('$what', ({ changes, of = doc, reason }) => {
    expect(holdOf(of, { ...facts, ...changes })?.reason).toBe(reason);
  });
});

describe('the view of a batch', () => {
  it('adds rows that expired, were cancelled or were wrong to the failed ones', () => {
    const doc = batchDoc({ status: 'in_progress', plan: batchPlan({ runnable: 10, total: 12 }) });
    const totals = rowTotals({ pending: 1, completed: 4, failed: 2, expired: 2, cancelled: 1 });
    expect(viewOf(doc, { ...NOTHING_LIVE, totals }).counts).toEqual({ total: 12, completed: 4, failed: 7 });
  });

  it('names the model and the objective when there is one, and the tokens it may take', () => {
    const groups = [rowGroup(), rowGroup({ objective: 'nightly' })];
    const view = viewOf(batchDoc({ status: 'in_progress', plan: batchPlan({ groups }) }), NOTHING_LIVE);
    expect(view).toMatchObject({ model: 'm', progress: { objective: null, estimatedTokens: 600 } });
    const mixed = [rowGroup(), rowGroup({ model: 'n' })];
    expect(viewOf(batchDoc({ plan: batchPlan({ groups: mixed }) }), NOTHING_LIVE).model).toBeNull();
  });
});
