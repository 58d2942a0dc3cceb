import { Counter, Gauge, type Registry } from 'prom-client';
import type { PoolKey } from '../core/objects.ts';

/** Series of one endpoint live as long as the endpoint. */
export const pickerMetrics = (registry: Registry) => {
  const queueSize = new Gauge({
    name: 'inference_pool_per_pod_queue_size',
    registers: [registry],
    labelNames: ['name', 'model_server_pod'] as const,
    help: 'Requests waiting inside each model server, under the name that inference gateway dashboards use.',
  });
  return {
    queueSize,
    scrapesTotal: new Counter({
      name: 'pilotlight_picker_scrapes_total',
      registers: [registry],
      labelNames: ['pool', 'result'] as const,
      help: 'Scrapes of model server metrics: ok, failed, or unknown_engine (answered without a known metric).',
    }),
    silentEndpoints: new Gauge({
      name: 'pilotlight_picker_silent_endpoints',
      registers: [registry],
      labelNames: ['pool'] as const,
      help: 'Endpoints whose scrapes have told nothing for ten seconds: their learned slots stay as they are.',
    }),
    forgetEndpoint(pool: PoolKey, endpointId: string): void {
      queueSize.remove({ name: pool, model_server_pod: endpointId });
    },
  };
};

export type PickerMetrics = ReturnType<typeof pickerMetrics>;
