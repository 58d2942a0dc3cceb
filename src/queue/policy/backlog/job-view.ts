import type { JobSpec, JobView } from '../../../core/jobs.ts';
import type { StoredOutcome } from '../../../core/live-order.ts';
import type { Outcome } from '../../../core/outcome.ts';

/** The job as its owner may see it. */
export function unfinishedView(spec: JobSpec, { isRunning }: { isRunning: boolean }): JobView {
  return {
    spec,
    status: isRunning ? 'running' : 'queued',
    outcome: null,
    finishedAtEpochMs: null,
    resultExpiresAtEpochMs: null,
  };
}

export function finishedView(spec: JobSpec, { outcome, atEpochMs }: StoredOutcome, retentionMs: number): JobView {
  return {
    spec,
    status: outcome.kind,
    outcome,
    finishedAtEpochMs: atEpochMs,
    resultExpiresAtEpochMs: atEpochMs + retentionMs,
  };
}

export const CANCELLED: Outcome = {
  kind: 'cancelled',
  httpStatus: 499,
  code: 'request_cancelled',
  attempts: 0,
  usage: null,
};

export const EXPIRED: Outcome = {
  kind: 'expired',
  httpStatus: 504,
  code: 'deadline_exceeded',
  attempts: 0,
  usage: null,
};

/** The outcome of a job that ended without an answer of the engine. */
export function failedOutcome(code: 'attempts_exhausted' | 'internal_error', attempts: number): Outcome {
  return { kind: 'failed', httpStatus: code === 'attempts_exhausted' ? 502 : 500, code, attempts, usage: null };
}
