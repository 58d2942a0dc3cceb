import type { JobSpec } from '../../../core/jobs.ts';
import type { AdmissionLimits, StoredTicket } from '../../../core/live-order.ts';
import type { Catalog, ObjectiveSpec, PoolSpec } from '../../../core/objects.ts';

/** Output tokens assumed for a request that sets no maximum: the order of a chat answer in the Azure 2024 traces. */
const ASSUMED_OUTPUT_TOKENS = 256;

/** Ids come back from clients and become parts of Redis keys; BullMQ takes none that look like an integer. */
const JOB_ID = /^(?!\d+$)[A-Za-z0-9_-]{1,128}$/;

export function isJobId(id: string): boolean {
  return JOB_ID.test(id);
}

/** What a job is expected to cost an engine. */
export function costTokensOf(spec: Pick<JobSpec, 'inputTokens' | 'maxOutputTokens'>): number {
  return spec.inputTokens + (spec.maxOutputTokens ?? ASSUMED_OUTPUT_TOKENS);
}

export function limitsOf(pool: PoolSpec, objective: ObjectiveSpec): AdmissionLimits {
  return {
    poolMaxRequests: pool.limits.maxRequests,
    poolMaxBytes: pool.limits.maxBytes,
    shedAtPercent: objective.shedAtPercent,
    objectiveMaxRequests: objective.maxStoredRequests,
    objectiveMaxBytes: objective.maxStoredBytes,
  };
}

/** The ledger's view of a job. An objective that no longer exists counts as the pool's default; null without the pool. */
export function storedTicketOf(spec: JobSpec, bodyBytes: number, catalog: Catalog): StoredTicket | null {
  const pool = catalog.pools.get(spec.pool);
  if (!pool) return null;
  const objective = catalog.objective(spec.pool, spec.objective) ?? catalog.defaultObjective(spec.pool);
  return {
    id: spec.id,
    objective: spec.objective,
    priority: objective.priority,
    bytes: bodyBytes,
    costTokens: costTokensOf(spec),
    limits: limitsOf(pool, objective),
    deadlineEpochMs: spec.deadlineEpochMs,
  };
}
