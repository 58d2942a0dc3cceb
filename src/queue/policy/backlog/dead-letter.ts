import type { JobSpec } from '../../../core/jobs.ts';

const RETRY_ID = /^(.*)-r(\d{1,6})$/;

/**
 * The id of the job that a retry of this one makes: "job_1" → "job_1-r1" → "job_1-r2". It follows from the id alone, so that
 * an operator who asks twice, or two who ask at once, make one job.
 */
export function retryIdOf(id: string): string {
  const [, first, count] = RETRY_ID.exec(id) ?? [];
  return first === undefined ? `${id}-r1` : `${first}-r${Number(count) + 1}`;
}

/** The same request, accepted now; it has as long to its deadline as it had at first. */
export function retrySpec(spec: JobSpec, nowEpochMs: number): JobSpec {
  const { deadlineEpochMs, acceptedAtEpochMs } = spec;
  return {
    ...spec,
    id: retryIdOf(spec.id),
    acceptedAtEpochMs: nowEpochMs,
    deadlineEpochMs: deadlineEpochMs === null ? null : nowEpochMs + Math.max(0, deadlineEpochMs - acceptedAtEpochMs),
    retryOf: spec.id,
  };
}

/** A place in the list of dead letters: objectives by name, in each the oldest first. */
export interface LetterCursor {
  readonly objective: string;
  readonly endedAtEpochMs: number;
  readonly id: string;
}

export function formatCursor({ objective, endedAtEpochMs, id }: LetterCursor): string {
  return [objective, endedAtEpochMs, id].join('|');
}

/** Null for anything that `formatCursor` would not write. */
export function parseCursor(text: string): LetterCursor | null {
  const [, objective, ended, id] = /^([^|]+)\|(\d{1,15})\|([^|]+)$/.exec(text) ?? [];
  if (objective === undefined || id === undefined) return null;
  return { objective, endedAtEpochMs: Number(ended), id };
}
