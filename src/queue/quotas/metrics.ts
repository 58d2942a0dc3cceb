import { Counter, type Registry } from 'prom-client';
import type { QuotaMeter } from './meter.ts';

/** Tenants with a series of their own; the rest share one. */
const MAX_SERIES = 500;
const OTHERS = '(others)';

export function quotaMetrics(registry: Registry): QuotaMeter {
  const named = new Set<string>();
  const requests = new Counter({
    name: 'pilotlight_tenant_quota_requests_total',
    help: `Requests held against the rates of their tenant: granted, or the quota that refused. Only tenants with quotas; from the ${MAX_SERIES + 1}st on they are counted as ${OTHERS}.`,
    labelNames: ['tenant', 'answer'] as const,
    registers: [registry],
  });
  return {
    asked(tenant, answer) {
      if (named.size < MAX_SERIES) named.add(tenant);
      requests.inc({ tenant: named.has(tenant) ? tenant : OTHERS, answer: LABELS[answer] });
    },
  };
}

const LABELS = { granted: 'granted', requestsPerMinute: 'requests_per_minute', tokensPerMinute: 'tokens_per_minute' };
