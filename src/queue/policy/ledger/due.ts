import type { DeadlineDemand } from '../../../core/live-order.ts';
import type { Bulk, Demand, DueBucket, ObjectiveBook } from './state.ts';

/** Entries of one objective's deadlines in a snapshot; the last gathers the rest. */
const MAX_DUE_LINES = 32;
/** A deadline is brought forward by at most this part of the time its work was given. */
const PARTS_OF_WINDOW = 32;

/**
 * The bucket that counts work with this deadline: the deadline, brought forward to a multiple of the largest power of two
 * milliseconds that is at most a 32nd of the time from acceptance to deadline. So a handful of buckets tells when the
 * work of any number of jobs is due: never later than it is, and earlier by 3 % at most.
 */
export function dueBucketMs(deadlineMs: number, acceptedAtMs: number): number {
  let granuleMs = 1;
  while (granuleMs * 2 * PARTS_OF_WINDOW <= deadlineMs - acceptedAtMs) granuleMs *= 2;
  return deadlineMs - (deadlineMs % granuleMs);
}

export function addDue(book: ObjectiveBook, demand: Demand, bucketMs: number, acceptedAtMs: number): void {
  const bucket = book.due.get(bucketMs);
  if (bucket === undefined) book.due.set(bucketMs, { requests: 1, costTokens: demand.costTokens, acceptedAtMs });
  else {
    bucket.requests += 1;
    bucket.costTokens += demand.costTokens;
    bucket.acceptedAtMs = Math.min(bucket.acceptedAtMs, acceptedAtMs);
  }
  demand.dueBucketMs = bucketMs;
}

export function removeDue(book: ObjectiveBook, demand: Demand): void {
  const bucket = book.due.get(demand.dueBucketMs);
  if (bucket === undefined) return;
  bucket.requests -= 1;
  bucket.costTokens -= demand.costTokens;
  if (bucket.requests === 0) book.due.delete(demand.dueBucketMs);
  demand.dueBucketMs = 0;
}

/** What is due when: the earliest buckets of the jobs, and every bulk with a deadline; earliest first, 32 at most. */
export function dueLines(book: ObjectiveBook, bulks: readonly Bulk[]): readonly DeadlineDemand[] {
  const ofJobs = [...book.due].map(([bucketMs, bucket]) => lineOf(bucketMs, bucket));
  const ofBulks = bulks.filter(({ deadlineMs }) => deadlineMs > 0).map((bulk) => lineOf(bulk.deadlineMs, bulk));
  return gathered(merged([...gathered(ofJobs.sort(byDeadline)), ...ofBulks].sort(byDeadline)));
}

function lineOf(deadlineEpochMs: number, work: Readonly<DueBucket>): DeadlineDemand {
  const { requests, costTokens, acceptedAtMs } = work;
  return { deadlineEpochMs, acceptedAtEpochMs: acceptedAtMs, requests, costTokens };
}

function byDeadline(a: DeadlineDemand, b: DeadlineDemand): number {
  return a.deadlineEpochMs - b.deadlineEpochMs;
}

/** One line for each deadline. */
function merged(lines: readonly DeadlineDemand[]): readonly DeadlineDemand[] {
  const result: DeadlineDemand[] = [];
  for (const line of lines) {
    const last = result.at(-1);
    if (last?.deadlineEpochMs !== line.deadlineEpochMs) result.push(line);
    else {
      const acceptedAtEpochMs = Math.min(last.acceptedAtEpochMs, line.acceptedAtEpochMs);
      result.splice(-1, 1, { ...together(last, line), acceptedAtEpochMs });
    }
  }
  return result;
}

/** The rest is counted with the first of it. */
function gathered(lines: readonly DeadlineDemand[]): readonly DeadlineDemand[] {
  const [first, ...others] = lines.slice(MAX_DUE_LINES - 1);
  if (first === undefined) return lines;
  return [...lines.slice(0, MAX_DUE_LINES - 1), others.reduce(together, first)];
}

function together(a: DeadlineDemand, b: DeadlineDemand): DeadlineDemand {
  return { ...a, requests: a.requests + b.requests, costTokens: a.costTokens + b.costTokens };
}
