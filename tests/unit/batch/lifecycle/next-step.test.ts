import { describe, expect, it } from 'vitest';
import { cancelling } from '../../../../src/batch/policy/lifecycle/generations.ts';
import {
  CLOSING_SETTLES_MS,
  type DriveFacts,
  nextStep,
  type Step,
} from '../../../../src/batch/policy/lifecycle/next-step.ts';
import type { BatchDoc } from '../../../../src/batch/ports.ts';
import { batchDoc, batchFinal, batchPlan, rowTotals, START_EPOCH_MS } from '../../../support/batch/batch-doc.ts';

const GRACE_MS = 60_000;
const FACTS: DriveFacts = {
  totals: rowTotals({ pending: 10 }),
  suppliedGeneration: 5,
  isWithdrawn: false,
  closedAtEpochMs: null,
  rowsRunning: 0,
  needsRecovery: false,
};
const RUNNING = batchDoc({ status: 'in_progress', plan: batchPlan(), generation: 5 });
const FINALIZING = batchDoc({ status: 'finalizing', plan: batchPlan(), generation: 6 });
const CANCELLING = cancelling(RUNNING, START_EPOCH_MS) ?? RUNNING;
const EXPIRING: BatchDoc = { ...RUNNING, ending: 'expired' };
const PAUSE = { reason: 'paused', message: 'p', sinceEpochMs: START_EPOCH_MS } as const;
const closing = (pending: number) => rowTotals({ pending, gate: 'closing' });
const closed = { totals: closing(3), isWithdrawn: true, closedAtEpochMs: START_EPOCH_MS };

interface Case {
  readonly when: string;
  readonly doc: BatchDoc;
  readonly facts?: Partial<DriveFacts>;
  readonly afterMs?: number;
  readonly step: Step;
}

const DAY_MS = 24 * 3_600_000;
const CASES: Case[] = [
  { when: 'just created', doc: batchDoc(), step: { kind: 'validate' } },
  { when: 'its window ends before it was validated', doc: batchDoc(), afterMs: DAY_MS, step: { kind: 'expire' } },
  { when: 'cancelled before it had rows', doc: batchDoc({ ending: 'cancelled' }), step: { kind: 'end_without_rows' } },
  { when: 'Redis does not know its rows', doc: RUNNING, facts: { totals: null }, step: { kind: 'reopen' } },
  {
    when: 'its rows were opened and may run',
    doc: RUNNING,
    facts: { totals: rowTotals({ pending: 10, gate: 'paused' }) },
    step: { kind: 'set_gate', gate: 'open' },
  },
  { when: 'a generation is new here', doc: RUNNING, facts: { suppliedGeneration: 4 }, step: { kind: 'supply' } },
  { when: 'its keeper died', doc: RUNNING, facts: { needsRecovery: true }, step: { kind: 'recover' } },
  {
    when: 'its keeper died and nobody supplies it',
    doc: RUNNING,
    facts: { needsRecovery: true, suppliedGeneration: 0 },
    step: { kind: 'supply' },
  },
  { when: 'its rows run', doc: RUNNING, step: { kind: 'wait', untilEpochMs: START_EPOCH_MS + DAY_MS } },
  { when: 'it is paused', doc: { ...RUNNING, pause: PAUSE }, step: { kind: 'set_gate', gate: 'paused' } },
  { when: 'its window is over', doc: RUNNING, afterMs: DAY_MS, step: { kind: 'expire' } },
  {
    when: 'its window is over, and every row has ended',
    doc: RUNNING,
    facts: { totals: rowTotals({ completed: 10 }) },
    afterMs: DAY_MS,
    step: { kind: 'begin_finalizing' },
  },
  {
    when: 'it is finalizing',
    doc: FINALIZING,
    facts: { totals: rowTotals({ completed: 10 }) },
    step: { kind: 'finalise' },
  },
  {
    when: 'it is finalizing and records are gone: these rows run again',
    doc: FINALIZING,
    facts: { suppliedGeneration: 0 },
    step: { kind: 'supply' },
  },
  {
    when: 'it is finalizing, its window is over, and Redis has forgotten ends of rows',
    doc: FINALIZING,
    afterMs: DAY_MS,
    facts: { needsRecovery: true },
    step: { kind: 'recover' },
  },
  {
    when: 'it is finalizing, its window is over, and records are gone: no row may run any more',
    doc: FINALIZING,
    afterMs: DAY_MS,
    step: { kind: 'expire' },
  },
  {
    when: 'its rows are ended, which this keeper has not heard of',
    doc: RUNNING,
    facts: { totals: rowTotals({ pending: 3, gate: 'closed' }) },
    step: { kind: 'read_again' },
  },
  {
    when: 'cancelling, and whoever ended its rows was interrupted',
    doc: CANCELLING,
    facts: { totals: rowTotals({ pending: 3, cancelled: 7, gate: 'closed' }), isWithdrawn: true },
    step: { kind: 'end_pending', state: 'cancelled' },
  },
  {
    when: 'expired, whoever ended its rows died, and records may be unknown: they are too late',
    doc: EXPIRING,
    facts: { totals: rowTotals({ pending: 3, expired: 7, gate: 'closed' }), needsRecovery: true },
    step: { kind: 'end_pending', state: 'expired' },
  },
  { when: 'a cancel was accepted', doc: CANCELLING, step: { kind: 'withdraw' } },
  {
    when: 'its gate is closing, and its chunks were taken away by a keeper that died',
    doc: CANCELLING,
    facts: { totals: closing(3) },
    step: { kind: 'withdraw' },
  },
  {
    when: 'cancelling, and records may be unknown',
    doc: CANCELLING,
    facts: { ...closed, needsRecovery: true },
    step: { kind: 'recover' },
  },
  {
    when: 'cancelling, and its rows run',
    doc: CANCELLING,
    facts: { ...closed, rowsRunning: 2 },
    afterMs: 10_000,
    step: { kind: 'wait', untilEpochMs: START_EPOCH_MS + 10_500 },
  },
  {
    when: 'cancelling, and the grace is over',
    doc: CANCELLING,
    facts: { ...closed, rowsRunning: 2 },
    afterMs: GRACE_MS,
    step: { kind: 'end_pending', state: 'cancelled' },
  },
  {
    when: 'cancelling, no row seems to run, but that may be old news',
    doc: CANCELLING,
    facts: closed,
    step: { kind: 'wait', untilEpochMs: START_EPOCH_MS + CLOSING_SETTLES_MS },
  },
  {
    when: 'cancelling, and no row runs',
    doc: CANCELLING,
    facts: closed,
    afterMs: CLOSING_SETTLES_MS,
    step: { kind: 'end_pending', state: 'cancelled' },
  },
  {
    when: 'cancelling, and no row is pending',
    doc: CANCELLING,
    facts: { totals: rowTotals({ completed: 4, cancelled: 6, gate: 'closed' }) },
    step: { kind: 'finalise' },
  },
  {
    when: 'expired long ago, taken over now',
    doc: EXPIRING,
    facts: { ...closed, rowsRunning: 2 },
    afterMs: 2 * DAY_MS,
    step: { kind: 'end_pending', state: 'expired' },
  },
  { when: 'it has ended', doc: { ...RUNNING, status: 'completed', final: batchFinal() }, step: { kind: 'settle' } },
  {
    when: 'everything after its end is done',
    doc: { ...RUNNING, status: 'completed', final: batchFinal(), settled: true },
    step: { kind: 'leave' },
  },
];

describe('the next step of a batch', () => {
  it.each(CASES)('$when', ({ doc, facts = {}, afterMs = 0, step }) => {
    expect(nextStep(doc, { ...FACTS, ...facts }, START_EPOCH_MS + afterMs, GRACE_MS)).toEqual(step);
  });
});
