import { collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';

/** A registry with the process's own metrics and `pilotlight_build_info`. One per process; tests make one each. */
export function createRegistry({ version, role }: { version: string; role: string }): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'pilotlight_build_info',
    help: 'Always 1; the labels tell version and role.',
    labelNames: ['version', 'role'] as const,
    registers: [registry],
  }).set({ version, role }, 1);
  return registry;
}

/** Removes every series whose label `pool` names one of these. A gauge that is collected anew tells for itself. */
export async function forgetPools(registry: Registry, pools: ReadonlySet<string>): Promise<void> {
  // What the types call objects are the metrics themselves.
  for (const metric of registry.getMetricsAsArray() as unknown as readonly Metric[]) {
    const { values } = await metric.get();
    for (const { labels } of values) {
      const pool = labels['pool'];
      if (typeof pool !== 'string' || !pools.has(pool)) continue;
      const { le: _le, quantile: _quantile, ...own } = labels;
      (metric as Gauge).remove(own);
    }
  }
}
