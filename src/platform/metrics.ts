import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

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
