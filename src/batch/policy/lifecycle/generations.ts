import type { BatchError, BatchStamps } from '../../../core/batches.ts';
import type { BatchDoc, BatchFinal, BatchPlan } from '../batch-doc.ts';
import { windowMs } from './create-rules.ts';

/**
 * Every change that a batch can go through, as the generation it leads to. Each is null where the present generation does
 * not allow it: whoever meets a conflict reads the newest one and asks again.
 */

export const NO_STAMPS: BatchStamps = {
  inProgressAtEpochMs: null,
  finalizingAtEpochMs: null,
  completedAtEpochMs: null,
  failedAtEpochMs: null,
  expiredAtEpochMs: null,
  cancellingAtEpochMs: null,
  cancelledAtEpochMs: null,
};

const NOTHING_DONE: BatchFinal = {
  counts: { total: 0, completed: 0, failed: 0 },
  usage: { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 },
  outputFileId: null,
  errorFileId: null,
};

type Next = BatchDoc | null;

/** What a new batch is asked for; the rest of its first generation is the same for all. */
export type NewBatch = Pick<
  BatchDoc,
  | 'id'
  | 'identity'
  | 'inputFile'
  | 'onlyRowsKey'
  | 'endpoint'
  | 'completionWindow'
  | 'metadata'
  | 'outputExpiresAfterMs'
  | 'wishes'
  | 'retryOf'
  | 'repetition'
>;

/** The first generation; its window begins now. */
export function created(batch: NewBatch, nowEpochMs: number): BatchDoc {
  return {
    ...batch,
    generation: 1,
    createdAtEpochMs: nowEpochMs,
    expiresAtEpochMs: nowEpochMs + (windowMs(batch.completionWindow) ?? 0),
    retriedBy: null,
    status: 'validating',
    stamps: NO_STAMPS,
    errors: null,
    plan: null,
    pause: null,
    ending: null,
    final: null,
  };
}

/** It validated under this objective: its rows may run. */
export function validated(doc: BatchDoc, plan: BatchPlan, objective: string | null, nowEpochMs: number): Next {
  // Under another objective its rows go another way: what was found does not hold.
  if (!isValidating(doc) || doc.wishes.objective !== objective) return null;
  return next(doc, { status: 'in_progress', plan, stamps: { ...doc.stamps, inProgressAtEpochMs: nowEpochMs } });
}

/** Its file did not validate. */
export function rejected(doc: BatchDoc, errors: readonly BatchError[], nowEpochMs: number): Next {
  if (!isValidating(doc)) return null;
  return next(doc, {
    status: 'failed',
    errors,
    final: NOTHING_DONE,
    stamps: { ...doc.stamps, failedAtEpochMs: nowEpochMs },
  });
}

export function paused(doc: BatchDoc, reason: 'paused' | 'failing', message: string, nowEpochMs: number): Next {
  if (!isRunnable(doc) || doc.pause !== null) return null;
  return next(doc, { pause: { reason, message, sinceEpochMs: nowEpochMs } });
}

export function resumed(doc: BatchDoc): Next {
  return isRunnable(doc) && doc.pause !== null ? next(doc, { pause: null }) : null;
}

/** Rows that have not run go on under this objective. */
export function reprioritised(doc: BatchDoc, objective: string): Next {
  if (!isRunnable(doc)) return null;
  const plan = doc.plan && { ...doc.plan, groups: doc.plan.groups.map((group) => ({ ...group, objective })) };
  return next(doc, { plan, wishes: { ...doc.wishes, objective } });
}

export function extended(doc: BatchDoc, expiresAtEpochMs: number): Next {
  return isRunnable(doc) && expiresAtEpochMs > doc.expiresAtEpochMs ? next(doc, { expiresAtEpochMs }) : null;
}

export function cancelling(doc: BatchDoc, nowEpochMs: number): Next {
  if (!isRunnable(doc)) return null;
  const stamps = { ...doc.stamps, cancellingAtEpochMs: nowEpochMs };
  return next(doc, { status: 'cancelling', ending: 'cancelled', pause: null, stamps });
}

/**
 * Its window is over: rows that have not ended will not run. `isShort`: also when all had ended once, for some of their
 * records are lost.
 */
export function expiring(doc: BatchDoc, nowEpochMs: number, isShort = false): Next {
  const mayEnd = isRunnable(doc) || (isShort && doc.status === 'finalizing' && doc.ending === null);
  if (!mayEnd || nowEpochMs < doc.expiresAtEpochMs) return null;
  return next(doc, { ending: 'expired', pause: null });
}

/** Every row has ended: the files are being assembled. */
export function finalizing(doc: BatchDoc, nowEpochMs: number): Next {
  if (doc.status !== 'in_progress' || doc.ending !== null) return null;
  return next(doc, {
    status: 'finalizing',
    pause: null,
    stamps: { ...doc.stamps, finalizingAtEpochMs: nowEpochMs },
  });
}

/** Cancelled, or its window ran out, before anybody knew its rows. */
export function endedWithoutRows(doc: BatchDoc, nowEpochMs: number): Next {
  return doc.plan === null && doc.final === null && doc.ending !== null ? ended(doc, NOTHING_DONE, nowEpochMs) : null;
}

/** The end, with the files of its rows. */
export function ended(doc: BatchDoc, final: BatchFinal, nowEpochMs: number): Next {
  if (doc.final !== null) return null;
  if (doc.ending === 'cancelled') {
    return next(doc, { status: 'cancelled', final, stamps: { ...doc.stamps, cancelledAtEpochMs: nowEpochMs } });
  }
  if (doc.ending === 'expired') {
    return next(doc, { status: 'expired', final, stamps: { ...doc.stamps, expiredAtEpochMs: nowEpochMs } });
  }
  if (doc.status !== 'finalizing') return null;
  return next(doc, { status: 'completed', final, stamps: { ...doc.stamps, completedAtEpochMs: nowEpochMs } });
}

/** Everything that follows its end is done. */
export function settled(doc: BatchDoc): Next {
  return doc.final !== null && doc.settled === undefined ? next(doc, { settled: true }) : null;
}

export function retriedAs(doc: BatchDoc, retriedBy: string): Next {
  return doc.final !== null && doc.retriedBy !== retriedBy ? next(doc, { retriedBy }) : null;
}

/** Whether people may still change it: neither ended, nor ending, nor past its last row. */
export function isRunnable(doc: BatchDoc): boolean {
  return doc.final === null && doc.ending === null && doc.status !== 'finalizing';
}

function isValidating(doc: BatchDoc): boolean {
  return doc.status === 'validating' && doc.ending === null && doc.plan === null;
}

function next(doc: BatchDoc, changes: Partial<BatchDoc>): BatchDoc {
  return { ...doc, ...changes, generation: doc.generation + 1 };
}
