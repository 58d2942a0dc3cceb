import type { WaitStatus } from '../../core/dispatch.ts';
import { type ErrorEnvelope, errorEnvelope, PilotlightError } from '../../core/errors.ts';
import type { JobStatus, JobView } from '../../core/jobs.ts';

/** A job as clients see it. Times are Unix seconds, as in every OpenAI object. */
export interface JobObject {
  readonly id: string;
  readonly object: 'job';
  readonly status: JobStatus;
  readonly model: string;
  readonly path: string;
  readonly objective: string;
  readonly created_at: number;
  readonly finished_at: number | null;
  /** The result is kept until then. */
  readonly expires_at: number | null;
  readonly deadline_at: number | null;
  /** Requests before this one; only while it is known. */
  readonly position?: number;
  readonly eta_seconds?: number;
  readonly error: ErrorEnvelope['error'] | null;
  readonly result_url: string;
  /** The failed job that an operator accepted again as this one; the job that was made so of this one. */
  readonly retry_of?: string;
  readonly retried_as?: string;
}

export function jobUrl(id: string): string {
  return `/v1/jobs/${id}`;
}

export function jobObject(view: JobView, wait: WaitStatus | null): JobObject {
  const { spec, status } = view;
  const error = jobError(view);
  return {
    id: spec.id,
    object: 'job',
    status,
    model: spec.model,
    path: spec.path,
    objective: spec.objective,
    created_at: seconds(spec.acceptedAtEpochMs),
    finished_at: view.finishedAtEpochMs === null ? null : seconds(view.finishedAtEpochMs),
    expires_at: view.resultExpiresAtEpochMs === null ? null : seconds(view.resultExpiresAtEpochMs),
    deadline_at: spec.deadlineEpochMs === null ? null : seconds(spec.deadlineEpochMs),
    ...(wait && { position: wait.position }),
    ...(wait?.etaMs != null && { eta_seconds: Math.ceil(wait.etaMs / 1_000) }),
    error: error && errorEnvelope(error).error,
    result_url: `${jobUrl(spec.id)}/result`,
    ...(spec.retryOf !== undefined && { retry_of: spec.retryOf }),
    ...(view.retriedAs !== undefined && { retried_as: view.retriedAs }),
  };
}

export function isFinished(view: JobView): boolean {
  return view.outcome !== null;
}

/** Why a finished job has no result of its own; null for one that has, or that is not finished. */
export function jobError({ spec, outcome }: JobView): PilotlightError | null {
  switch (outcome?.kind) {
    case undefined:
    case 'completed':
      return null;
    case 'cancelled':
      return new PilotlightError(outcome.code ?? 'request_cancelled', `The job '${spec.id}' was cancelled.`);
    case 'expired':
      return new PilotlightError(
        outcome.code ?? 'deadline_exceeded',
        `The job '${spec.id}' was not finished by its deadline.`,
      );
    case 'failed':
      return new PilotlightError(
        outcome.code ?? 'internal_error',
        `The job '${spec.id}' failed after ${outcome.attempts} attempts.`,
      );
  }
}

function seconds(epochMs: number): number {
  return Math.floor(epochMs / 1_000);
}
