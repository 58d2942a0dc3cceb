import type { AdmissionLimits } from './live-order.ts';
import type { ObjectiveSpec, PoolSpec } from './objects.ts';
import { NO_QUOTAS, type TenantQuotas } from './tenants.ts';

/** Answer length assumed when the caller sets no limit: the mean of the Azure LLM inference trace 2023, conversations. */
const ASSUMED_OUTPUT_TOKENS = 211;

/** Tokens a request is counted at, in the order and against budgets, before it has run. */
export function estimatedCostTokens(request: {
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
}): number {
  return request.inputTokens + (request.maxOutputTokens ?? ASSUMED_OUTPUT_TOKENS);
}

/** What one request of this objective is held to when it is admitted to this pool; `quotas` are those of its fairness id. */
export function admissionLimits(
  pool: PoolSpec,
  objective: ObjectiveSpec,
  { maxRequests, maxBytes }: Pick<TenantQuotas, 'maxRequests' | 'maxBytes'> = NO_QUOTAS,
): AdmissionLimits {
  return {
    poolMaxRequests: pool.limits.maxRequests,
    poolMaxBytes: pool.limits.maxBytes,
    shedAtPercent: objective.shedAtPercent,
    objectiveMaxRequests: objective.maxStoredRequests,
    objectiveMaxBytes: objective.maxStoredBytes,
    ...(maxRequests !== null && { tenantMaxRequests: maxRequests }),
    ...(maxBytes !== null && { tenantMaxBytes: maxBytes }),
  };
}
