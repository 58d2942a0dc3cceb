import { PilotlightError } from '../../core/errors.ts';
import { EXPIRED } from '../policy/backlog/job-view.ts';
import { type DecideDeps, decideOutcome } from './decided-outcome.ts';
import type { JobHints, JobIndex, JobLane } from './ports.ts';
import type { RunningJobs } from './running-jobs.ts';

export interface DeadlineDeps extends DecideDeps {
  readonly index: JobIndex;
  readonly running: RunningJobs;
  readonly hints: JobHints;
}

const BATCH = 256;

/**
 * Ends stored jobs of one pool whose deadline has passed, wherever they are. Returns whether there may be more.
 * Throws when the ledger does not answer.
 */
export async function expireOverdue(deps: DeadlineDeps, lane: JobLane): Promise<boolean> {
  const overdue = await lane.ledger.overdue(BATCH);
  const expired = await Promise.all(
    overdue.map(async ({ id, objective }) => {
      const place = await deps.index.get(id);
      const answer = await decideOutcome(deps, lane, { id, objective, place }, EXPIRED);
      if (answer.kind === 'already') return null;
      deps.running.abort(id, new PilotlightError('deadline_exceeded', `Job ${id} passed its deadline.`));
      return id;
    }),
  );
  const ids = expired.filter((id) => id !== null);
  // The same hint as for a cancellation: whoever runs one of them stops.
  if (ids.length > 0) deps.hints.publish({ kind: 'cancelled', ids });
  return overdue.length === BATCH;
}
