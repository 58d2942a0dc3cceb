import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { DeadEntry, JobLane, ResultRecord } from './ports.ts';

export function deadEntry({ jobId, job, finishedAtEpochMs }: ResultRecord): DeadEntry {
  return { id: jobId, objective: job.objective, endedAtEpochMs: finishedAtEpochMs };
}

/**
 * Lists a job that failed, between its synced result and its outcome: so a crash leaves an entry too many, which its readers
 * see through, and not one too few. Never throws: reconcile lists it again.
 */
export async function noteDeadLetter(lane: JobLane | undefined, result: ResultRecord, log: Logger): Promise<void> {
  if (result.outcome.kind !== 'failed' || !lane?.dead) return;
  try {
    await lane.dead.add([deadEntry(result)]);
  } catch (error) {
    log.warn({ jobId: result.jobId, problem: asError(error).message }, 'job.dead_letter_not_listed');
  }
}
