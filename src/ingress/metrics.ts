import { Counter, Gauge, type Registry } from 'prom-client';
import { FLOW_OUTCOMES_METRIC } from '../core/flow-outcomes.ts';
import type { HeldBudget } from './held-budget.ts';

/** Everything the ingress counts. Labels are bounded: known paths, status classes, catalogue codes, known headers. */
export function ingressMetrics(registry: Registry, budget: HeldBudget) {
  const registers = [registry];
  gauge('pilotlight_ingress_held_calls', 'Calls whose client waits on a connection now.', () => budget.calls);
  gauge(
    'pilotlight_ingress_held_calls_limit',
    'Held calls at which more get 429 held_calls_full.',
    () => budget.maxCalls,
  );
  gauge(
    'pilotlight_ingress_held_bytes',
    'Request bodies of held calls, reserved or read, in bytes.',
    () => budget.bytes,
  );
  gauge(
    'pilotlight_ingress_held_limit_bytes',
    'Held bytes at which more get 429 held_bytes_full.',
    () => budget.maxBytes,
  );
  return {
    requests: new Counter({
      name: 'pilotlight_ingress_requests_total',
      help: 'Requests on the public listener that were answered or left by their client.',
      labelNames: ['path', 'status_class'] as const,
      registers,
    }),
    errors: new Counter({
      name: 'pilotlight_ingress_errors_total',
      help: 'Errors answered by Pilotlight itself, in-stream ones included, by code of docs/errors.md.',
      labelNames: ['code'] as const,
      registers,
    }),
    flowOutcomes: flowOutcomes(registry),
    ignoredHeaders: new Counter({
      name: 'pilotlight_ingress_ignored_headers_total',
      help: 'Objective and fairness headers that did not count because their caller is not trusted.',
      labelNames: ['header'] as const,
      registers,
    }),
  };

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
}

type FlowOutcomes = Counter<'pool' | 'objective' | 'outcome'>;

/** Whichever part of the process asks first makes it. */
function flowOutcomes(registry: Registry): FlowOutcomes {
  const { name, help, labelNames } = FLOW_OUTCOMES_METRIC;
  const known = registry.getSingleMetric(name) as FlowOutcomes | undefined;
  return known ?? new Counter({ name, help, labelNames, registers: [registry] });
}

export type IngressMetrics = ReturnType<typeof ingressMetrics>;

/** How checks of tokens ended: OpenID Connect and ServiceAccounts. Answers from memory are not counted. */
export function tokenMetrics(registry: Registry) {
  return {
    checks: new Counter({
      name: 'pilotlight_ingress_token_checks_total',
      help: 'Tokens checked: accepted, refused, unavailable (nobody could be asked), stale (an older answer was used).',
      labelNames: ['kind', 'outcome'] as const,
      registers: [registry],
    }),
  };
}
