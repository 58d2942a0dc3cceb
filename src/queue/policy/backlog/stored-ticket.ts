import { admissionLimits, estimatedCostTokens } from '../../../core/admission.ts';
import type { JobSpec } from '../../../core/jobs.ts';
import type { StoredTicket } from '../../../core/live-order.ts';
import type { Catalog } from '../../../core/objects.ts';
import type { TenantDirectory } from '../../../core/tenants.ts';

/** Ids come back from clients and become parts of Redis keys; BullMQ takes none that look like an integer. */
const JOB_ID = /^(?!\d+$)[A-Za-z0-9_-]{1,128}$/;

export function isJobId(id: string): boolean {
  return JOB_ID.test(id);
}

/** The ledger's view of a job. An objective that no longer exists counts as the pool's default; null without the pool. */
export function storedTicketOf(
  spec: JobSpec,
  bodyBytes: number,
  catalog: Catalog,
  tenants: TenantDirectory,
): StoredTicket | null {
  const pool = catalog.pools.get(spec.pool);
  if (!pool) return null;
  const objective = catalog.objective(spec.pool, spec.objective) ?? catalog.defaultObjective(spec.pool);
  return {
    id: spec.id,
    objective: spec.objective,
    priority: objective.priority,
    fairnessId: spec.tenant,
    bytes: bodyBytes,
    costTokens: estimatedCostTokens(spec),
    limits: admissionLimits(pool, objective, tenants.termsOf(spec.tenant).quotas),
    deadlineEpochMs: spec.deadlineEpochMs,
    acceptedAtEpochMs: spec.acceptedAtEpochMs,
    ...(spec.announce && { announced: true }),
  };
}
