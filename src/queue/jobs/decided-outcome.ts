import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { JobMeter } from './job-meter.ts';
import type { JobLane, JobPlace, JobStore } from './ports.ts';
import type { Settlements } from './settlements.ts';

export interface DecideDeps {
  readonly store: JobStore;
  readonly settlements: Settlements;
  readonly meter: JobMeter;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface DecidedJob {
  readonly id: string;
  readonly objective: string;
  /** Null when the index lost it: then the store does not learn of the outcome. */
  readonly place: JobPlace | null;
}

/**
 * Ends a job without an execution (cancelled, expired). The compare-and-set decides, then the store is told so that
 * a lost Redis does not bring the job back, then the backlog is cleaned. Throws when the ledger does not answer.
 */
export async function decideOutcome(
  deps: DecideDeps,
  lane: JobLane,
  job: DecidedJob,
  outcome: Outcome,
): ReturnType<JobLane['ledger']['settle']> {
  const announced = job.place?.announced === true;
  const answer = await lane.ledger.settle(job.id, job.objective, outcome, null, { announced });
  if (answer.kind === 'already') return answer;
  if (job.place) await recordDecision(deps, job.id, job.place, outcome);
  deps.settlements.ended(job.id);
  deps.meter.ended(lane.ledger.pool, outcome.kind);
  await lane.backlog.remove(job.id, job.objective);
  return answer;
}

async function recordDecision(deps: DecideDeps, jobId: string, job: JobPlace, outcome: Outcome): Promise<void> {
  try {
    const finishedAtEpochMs = deps.clock.epochMs();
    await deps.store.append({ kind: 'result', jobId, attempt: 0, outcome, contentType: '', finishedAtEpochMs, job });
  } catch (error) {
    // The outcome stands in Redis; only its loss together with this record would run the job again.
    deps.log.warn({ jobId, problem: asError(error).message }, 'job.decision_not_recorded');
  }
}
