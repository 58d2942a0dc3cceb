/** What reconcile has to remember of a whole store before it judges single records. Grows with exceptions only. */
export interface JobEnds {
  /** Never counted as accepted. */
  readonly voided: Set<string>;
  /** Ended, result past retention and removed. */
  readonly gone: Set<string>;
  /** Result records that lost against another outcome. */
  readonly orphanRefs: Set<string>;
  /** Jobs whose outcome was decided without an execution (attempt 0): it beats every result. */
  readonly decided: Set<string>;
  /** Failed jobs that were accepted again under another id. */
  readonly retried: Set<string>;
}

export function noJobEnds(): JobEnds {
  return { voided: new Set(), gone: new Set(), orphanRefs: new Set(), decided: new Set(), retried: new Set() };
}

interface EndRecord {
  readonly kind: string;
  readonly jobId?: string;
  readonly jobIds?: readonly string[];
  readonly resultRef?: string;
  readonly attempt?: number;
  readonly spec?: { readonly retryOf?: string };
}

/** Takes one record of the store into account. */
export function noteJobEnd(ends: JobEnds, record: EndRecord): void {
  if (record.kind === 'accept' && record.spec?.retryOf !== undefined) ends.retried.add(record.spec.retryOf);
  if (record.kind === 'void' && record.jobId !== undefined) ends.voided.add(record.jobId);
  if (record.kind === 'gone') for (const id of record.jobIds ?? []) ends.gone.add(id);
  if (record.kind === 'orphan' && record.resultRef !== undefined) ends.orphanRefs.add(record.resultRef);
  if (record.kind === 'result' && record.attempt === 0 && record.jobId !== undefined) ends.decided.add(record.jobId);
}

/**
 * Whether this result record may become its job's outcome. Among those that may, the first in the store counts:
 * records are read in the order they were written, and a later execution has the higher attempt.
 */
export function mayCount(ends: JobEnds, record: { jobId: string; attempt: number; ref: string }): boolean {
  if (ends.orphanRefs.has(record.ref)) return false;
  return record.attempt === 0 || !ends.decided.has(record.jobId);
}

/** Whether an accepted job may still be unfinished, as far as the store alone tells. */
export function mayBeOpen(ends: JobEnds, jobId: string): boolean {
  return !ends.voided.has(jobId) && !ends.gone.has(jobId);
}

/** Whether a job that failed is a dead letter, as far as the store alone tells. */
export function mayBeDead(ends: JobEnds, jobId: string): boolean {
  return mayBeOpen(ends, jobId) && !ends.retried.has(jobId);
}
