import type { RowCounts } from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Notice, NoticeType } from '../../core/notices.ts';
import { begunFilesPrefix } from '../policy/finalise/output-files.ts';
import { ended, endedWithoutRows, settled } from '../policy/lifecycle/generations.ts';
import type { BatchDoc, BatchFinal, BatchPlan, RowTotals } from '../ports.ts';
import { advance } from './advance.ts';
import type { DriveDeps } from './drive-deps.ts';
import { writeUnfinishedRows } from './unfinished-rows.ts';
import type { StepOptions } from './validation-step.ts';

/** The files of a batch would not have every row exactly once: nothing of it is published. */
export class ShortBatch extends Error {
  override readonly name = 'ShortBatch';
}

/** Assembles the files and publishes the end. Throws `ShortBatch`, `RowStatesLost`, and what Redis and the store throw. */
export async function finaliseBatch(
  deps: DriveDeps,
  doc: BatchDoc,
  plan: BatchPlan,
  options: StepOptions,
): Promise<BatchDoc> {
  const { journal, states, heavy, meter, clock } = deps;
  const startedMs = clock.monotonicMs();
  const final = await heavy.run(() => deps.finalise(doc, options), options.signal);
  refuseShort(doc.id, plan, final, await states.totals(doc.id));
  if (final.counts.completed < plan.runnable) await writeUnfinishedRows(deps, doc.id, plan);
  options.signal.throwIfAborted();
  const result = await advance(journal, doc, (current) => ended(current, final, clock.epochMs()));
  if (result.isChanged) {
    meter.finalised(clock.monotonicMs() - startedMs);
    tellEnd(deps, result.doc);
  }
  return result.doc;
}

export async function endWithoutRows(deps: DriveDeps, doc: BatchDoc): Promise<BatchDoc> {
  const result = await advance(deps.journal, doc, (current) => endedWithoutRows(current, deps.clock.epochMs()));
  if (result.isChanged) tellEnd(deps, result.doc);
  return result.doc;
}

/** Everything that follows an end. Repeatable; the last thing written is that it is done. */
export async function settleBatch(deps: DriveDeps, doc: BatchDoc): Promise<BatchDoc> {
  const { cabinet, notices, states, rows, journal } = deps;
  if (doc.plan !== null) await rows.withdraw(doc);
  rows.leave(doc.id);
  await cabinet.release(doc.inputFile.id, doc.id);
  if (doc.plan !== null) await removeUnpublished(deps, doc);
  await notices.publish(noticeOf(deps, doc));
  await states.drop(doc.id);
  return (await advance(journal, doc, settled)).doc;
}

/** Files of a finalise that broke off, when Redis then lost which records it was made of. */
async function removeUnpublished({ blobs, cabinet }: DriveDeps, doc: BatchDoc): Promise<void> {
  const prefix = begunFilesPrefix(doc.id);
  const { outputFileId, errorFileId } = doc.final ?? {};
  for await (const { key } of blobs.list(prefix)) {
    const id = key.slice(prefix.length);
    if (id !== outputFileId && id !== errorFileId) {
      await cabinet.delete(id, doc.identity.tenant).catch(unlessGone);
    }
  }
}

function unlessGone(thrown: unknown): void {
  const isLeft = thrown instanceof PilotlightError && ['file_not_found', 'file_in_use'].includes(thrown.code);
  if (!isLeft) throw thrown;
}

/** In the log and the metrics, once: by whoever wrote the end. */
export function tellEnd({ log, meter, clock }: DriveDeps, doc: BatchDoc): void {
  const counts = doc.final?.counts ?? { total: 0, completed: 0, failed: 0 };
  log.info({ batch: doc.id, tenant: doc.identity.tenant, status: doc.status, ...counts }, 'batch.ended');
  meter.ended(doc.status, counts, clock.epochMs() - doc.createdAtEpochMs);
}

/** What the files hold, what the states say and what the plan has must be the same number of rows. */
function refuseShort(batchId: string, plan: BatchPlan, { counts }: BatchFinal, totals: RowTotals): void {
  const expected: RowCounts = {
    total: plan.total,
    completed: totals.completed,
    failed: plan.total - totals.completed,
  };
  const isWhole =
    totals.pending === 0 &&
    counts.total === expected.total &&
    counts.completed === expected.completed &&
    counts.failed === expected.failed;
  if (isWhole) return;
  throw new ShortBatch(
    `batch ${batchId}: files with ${counts.completed} + ${counts.failed} rows, states with ${expected.completed} + ${expected.failed} and ${totals.pending} pending, ${plan.total} rows in all`,
  );
}

function noticeOf({ ids }: DriveDeps, doc: BatchDoc): Notice {
  const { completedAtEpochMs, failedAtEpochMs, expiredAtEpochMs, cancelledAtEpochMs } = doc.stamps;
  return {
    id: ids.derived('evt', doc.id, doc.status),
    type: `batch.${doc.status}` as NoticeType,
    tenant: doc.identity.tenant,
    createdAtEpochMs:
      completedAtEpochMs ?? failedAtEpochMs ?? expiredAtEpochMs ?? cancelledAtEpochMs ?? doc.createdAtEpochMs,
    objectId: doc.id,
  };
}
