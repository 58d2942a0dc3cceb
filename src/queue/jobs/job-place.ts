import type { JobSpec } from '../../core/jobs.ts';
import type { JobPlace, RecordRef } from './ports.ts';

/** What the index keeps of this job. `bodyBytes` are those of the request. */
export function placeOf(spec: JobSpec, acceptRef: RecordRef, bodyBytes: number): JobPlace {
  const { pool, objective, tenant, acceptedAtEpochMs, announce } = spec;
  return { pool, objective, tenant, acceptRef, acceptedAtEpochMs, bodyBytes, ...(announce && { announced: true }) };
}
