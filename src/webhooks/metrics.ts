import { Counter, Histogram, type Registry } from 'prom-client';
import type { WebhookMeter } from './ports.ts';

const ATTEMPT_BUCKETS_S = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60];
const AGE_BUCKETS_S = [0.1, 0.5, 1, 5, 30, 300, 3_600, 21_600, 86_400, 259_200];

/** The meter of webhooks on a registry. */
export function webhookMetrics(registry: Registry): WebhookMeter {
  const attempts = new Histogram({
    name: 'pilotlight_webhooks_attempt_seconds',
    help: 'Attempts to deliver a webhook, by what came of it: the class of the status, timeout, unreachable, or refused (an address that may not be called).',
    labelNames: ['result'],
    buckets: ATTEMPT_BUCKETS_S,
    registers: [registry],
  });
  const ended = new Counter({
    name: 'pilotlight_webhooks_deliveries_total',
    help: 'Deliveries of webhooks that ended, by result: delivered, failed (given up), or dropped (too many waited for their endpoint).',
    labelNames: ['result'],
    registers: [registry],
  });
  const ages = new Histogram({
    name: 'pilotlight_webhooks_delivery_age_seconds',
    help: 'From the end that a webhook tells of to its delivery.',
    buckets: AGE_BUCKETS_S,
    registers: [registry],
  });
  return {
    attempted: (result, durationMs) => attempts.observe({ result }, durationMs / 1_000),
    ended: (result, ageMs) => {
      ended.inc({ result });
      if (result === 'delivered') ages.observe(ageMs / 1_000);
    },
  };
}
