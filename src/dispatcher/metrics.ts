import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { FLOW_OUTCOMES_METRIC } from '../core/flow-outcomes.ts';

/** Bucket edges of the EPP's own queue histogram, continued to ten minutes for pools that sleep. */
const WAIT_BUCKETS_S = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
];
const FIRST_BYTE_BUCKETS_S = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 8, 15, 30, 60, 120, 300, 600,
];

/** Labels are bounded: pool and objective are configured names, the others come from closed lists in the code. */
export const dispatcherMetrics = (registry: Registry) => ({
  callsTotal: new Counter({
    name: 'pilotlight_dispatcher_calls_total',
    registers: [registry],
    labelNames: ['pool', 'objective', 'outcome', 'code'] as const,
    help: 'Calls that ended in the dispatcher, by outcome and error code ("none" for a plain success).',
  }),
  flowOutcomes: flowOutcomes(registry),
  attemptsTotal: new Counter({
    name: 'pilotlight_dispatcher_attempts_total',
    registers: [registry],
    labelNames: ['pool', 'result'] as const,
    help: 'Attempts on an endpoint, by result: ok, stopped, or the reason of the failure.',
  }),
  retriesTotal: new Counter({
    name: 'pilotlight_dispatcher_retries_total',
    registers: [registry],
    labelNames: ['pool', 'reason'] as const,
    help: 'Attempts that were repeated before the first byte, by the reason of the failed one.',
  }),
  queueWaitSeconds: new Histogram({
    name: 'pilotlight_dispatcher_queue_wait_seconds',
    registers: [registry],
    labelNames: ['pool', 'objective'] as const,
    help: 'From entering the live order to the first slot.',
    buckets: WAIT_BUCKETS_S,
  }),
  flowControlQueueSeconds: new Histogram({
    name: 'inference_extension_flow_control_request_queue_duration_seconds',
    registers: [registry],
    labelNames: ['inference_pool', 'priority', 'outcome'] as const,
    help: 'Time in the queue under the name that inference gateway dashboards use, by its outcome words.',
    buckets: WAIT_BUCKETS_S,
  }),
  firstByteSeconds: new Histogram({
    name: 'pilotlight_dispatcher_first_byte_seconds',
    registers: [registry],
    labelNames: ['pool', 'objective'] as const,
    help: 'From entering the live order to the first forwarded byte of the answer (TTFT for streams).',
    buckets: FIRST_BYTE_BUCKETS_S,
  }),
  inFlight: new Gauge({
    name: 'pilotlight_dispatcher_in_flight_requests',
    registers: [registry],
    labelNames: ['pool'] as const,
    help: 'Attempts that are running on an endpoint now, of this process.',
  }),
  endpointSlots: new Gauge({
    name: 'pilotlight_dispatcher_endpoint_slots',
    registers: [registry],
    labelNames: ['pool', 'state'] as const,
    help: 'Slots of all endpoints of a pool: open now, and the full number once slow start and quarantine are over.',
  }),
  quarantinedEndpoints: new Gauge({
    name: 'pilotlight_dispatcher_quarantined_endpoints',
    registers: [registry],
    labelNames: ['pool'] as const,
    help: 'Endpoints that get no calls because they failed, until a probe succeeds.',
  }),
});

export type DispatcherMetrics = ReturnType<typeof dispatcherMetrics>;

type FlowOutcomes = Counter<'pool' | 'objective' | 'outcome'>;

/** Whichever part of the process asks first makes it. */
function flowOutcomes(registry: Registry): FlowOutcomes {
  const { name, help, labelNames } = FLOW_OUTCOMES_METRIC;
  const known = registry.getSingleMetric(name) as FlowOutcomes | undefined;
  return known ?? new Counter({ name, help, labelNames, registers: [registry] });
}
