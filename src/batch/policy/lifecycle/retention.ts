import type { BatchDoc } from '../batch-doc.ts';

/** When everything of an ended batch may go: its files have expired by then. Null = it has not ended. */
export function removeAtEpochMs(doc: BatchDoc, fileRetentionMs: number): number | null {
  if (doc.final === null || !doc.settled) return null;
  const { completedAtEpochMs, failedAtEpochMs, expiredAtEpochMs, cancelledAtEpochMs } = doc.stamps;
  const endedAtEpochMs = completedAtEpochMs ?? failedAtEpochMs ?? expiredAtEpochMs ?? cancelledAtEpochMs;
  return (endedAtEpochMs ?? doc.createdAtEpochMs) + (doc.outputExpiresAfterMs ?? fileRetentionMs);
}

/** Unfinished rows that a batch counts against its tenant; 0 before they are known, null once it has ended. */
export function openRows(doc: BatchDoc): number | null {
  return doc.final === null ? (doc.plan?.runnable ?? 0) : null;
}
