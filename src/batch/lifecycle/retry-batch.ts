import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import { created, retriedAs } from '../policy/lifecycle/generations.ts';
import type { BatchDoc } from '../ports.ts';
import { advance } from './advance.ts';
import { type CreateDeps, refuseBeyondQuota, writeBatch } from './create-batch.ts';
import type { Creations } from './creations.ts';
import { onlyRowsKey, unfinishedRowsKey } from './ports.ts';

export type RetryDeps = CreateDeps & { readonly blobs: BlobStore };

/**
 * A batch of the rows of `doc` that did not complete. Asked twice it is the same batch, unless that one's file did not
 * validate: its id is derived, so two calls at once make one.
 */
export async function retryBatch(
  deps: RetryDeps,
  creations: Creations,
  doc: BatchDoc,
  identity: Identity,
): Promise<BatchDoc> {
  const { journal, ids, clock } = deps;
  if (doc.final === null) {
    const message = `Batch '${doc.id}' has not ended (status '${doc.status}'); its failed rows can be run again afterwards.`;
    throw new PilotlightError('batch_not_finished', message);
  }
  const before = doc.retriedBy === null ? null : await journal.read(doc.retriedBy);
  if (before && before.status !== 'failed') return before;
  const onlyRows = await deps.blobs.readAll(unfinishedRowsKey(doc.id));
  if (!onlyRows || onlyRows.byteLength === 0) {
    const message = `Batch '${doc.id}' (status '${doc.status}') has no row that ran without success. ${advice(doc)}`;
    throw new PilotlightError('nothing_to_retry', message);
  }
  const id = ids.derived('batch', doc.id, 'retry', doc.retriedBy ?? '');
  const make = async (ahead: readonly string[]): Promise<BatchDoc> => {
    await refuseBeyondQuota(deps, identity.tenant, ahead);
    return writeRetry(deps, retryDoc(doc, id, identity, clock.epochMs()), onlyRows);
  };
  const retry = (await journal.read(id)) ?? (await creations.during(identity.tenant, id, make));
  await advance(journal, doc, (current) => retriedAs(current, id));
  return retry;
}

async function writeRetry(deps: RetryDeps, retry: BatchDoc, onlyRows: Uint8Array): Promise<BatchDoc> {
  await deps.blobs.put(onlyRowsKey(retry.id), once(onlyRows), { ifAbsent: true });
  return writeBatch(deps, retry);
}

function retryDoc(doc: BatchDoc, id: string, identity: Identity, nowEpochMs: number): BatchDoc {
  const { inputFile, endpoint, completionWindow, metadata, outputExpiresAfterMs, wishes } = doc;
  const { deadlineEpochMs } = wishes;
  const isAhead = deadlineEpochMs !== null && deadlineEpochMs > nowEpochMs;
  const batch = {
    id,
    identity,
    inputFile,
    onlyRowsKey: onlyRowsKey(id),
    endpoint,
    completionWindow,
    metadata,
    outputExpiresAfterMs,
    wishes: { ...wishes, deadlineEpochMs: isAhead ? deadlineEpochMs : null },
    retryOf: doc.id,
  };
  return created(batch, nowEpochMs);
}

function advice({ status }: BatchDoc): string {
  return status === 'failed'
    ? 'Its file did not validate: correct it and create a new batch.'
    : 'Rows that were invalid have to be corrected and sent in a new file.';
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(bytes);
}
