import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the way to the API server measures. Labels are bounded: resources and causes are those in the source. */
export function kubernetesMetrics(registry: Registry) {
  const registers = [registry];
  return {
    requestsTotal: new Counter({
      name: 'pilotlight_kubernetes_requests_total',
      help: 'Requests to the API server by answer; code 0 = none came.',
      labelNames: ['verb', 'resource', 'code'] as const,
      registers,
    }),
    requestDurationSeconds: new Histogram({
      name: 'pilotlight_kubernetes_request_duration_seconds',
      help: 'From sending a request to its whole answer; of a watch, to its first byte.',
      labelNames: ['verb', 'resource'] as const,
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    feedState: new Gauge({
      name: 'pilotlight_kubernetes_feed_state',
      help: '1 for the state that the live copy of a resource is in: absent, syncing, live, stale.',
      labelNames: ['resource', 'state'] as const,
      registers,
    }),
    feedHeardTimestampSeconds: new Gauge({
      name: 'pilotlight_kubernetes_feed_heard_timestamp_seconds',
      help: 'When the API server last said anything of a resource, of its quietest namespace.',
      labelNames: ['resource'] as const,
      registers,
    }),
    feedObjects: new Gauge({
      name: 'pilotlight_kubernetes_feed_objects',
      help: 'Objects in the live copy of a resource.',
      labelNames: ['resource'] as const,
      registers,
    }),
    feedRestartsTotal: new Counter({
      name: 'pilotlight_kubernetes_feed_restarts_total',
      help: 'Watches that ended and were taken up again, by cause.',
      labelNames: ['resource', 'cause'] as const,
      registers,
    }),
    leader: new Gauge({
      name: 'pilotlight_kubernetes_leader',
      help: '1 while this process holds the Lease.',
      labelNames: ['lease'] as const,
      registers,
    }),
    eventsTotal: new Counter({
      name: 'pilotlight_kubernetes_events_total',
      help: 'Events about objects by what became of them: written, aggregated, limited, dropped, failed.',
      labelNames: ['outcome'] as const,
      registers,
    }),
  };
}

export type KubernetesMetrics = ReturnType<typeof kubernetesMetrics>;
