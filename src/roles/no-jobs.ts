import { PilotlightError } from '../core/errors.ts';
import type { JobService } from '../core/jobs.ts';

const MESSAGE =
  'Stored jobs are turned off here (jobs.enabled: false). Send the call itself, with stream: true if it may wait long.';

/** The job service of a gateway without a store: refuses every submission, and knows no job. */
export const noJobs: JobService = {
  submit: () => Promise.resolve({ kind: 'rejected', error: new PilotlightError('jobs_disabled', MESSAGE) }),
  get: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
  result: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
  request: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
  delete: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
  cancel: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
  wait: () => Promise.reject(new PilotlightError('jobs_disabled', MESSAGE)),
};
