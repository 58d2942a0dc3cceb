import { join } from 'node:path';
import type { Registry } from 'prom-client';
import { learnedStateFile } from '../autoscaler/adapters/learned-state-file.ts';
import { LocalProcesses } from '../autoscaler/adapters/process-target/process-target.ts';
import { Autoscaler } from '../autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../autoscaler/metrics.ts';
import type { SlotLedger } from '../core/live-order.ts';
import type { PoolKey } from '../core/objects.ts';
import { systemClock } from '../platform/clock.ts';
import type { ProcessOptions } from './process-options.ts';
import type { Scaling } from './scaling.ts';
import { engineActivity } from './engine-activity.ts';
import { selfCommand } from './self-command.ts';

/** Replicas as local processes, scaled in this process. */
export function openLocalScaling(
  { config, catalogSource, orders, log, closers }: ProcessOptions,
  registry: Registry,
  ledgerOf: (pool: PoolKey) => SlotLedger,
): Scaling {
  const stateDir = join(config.data.dir, config.installation);
  const processes = new LocalProcesses({
    clock: systemClock,
    log,
    dataDir: stateDir,
    self: selfCommand(),
    environment: process.env,
  });
  const autoscaler = new Autoscaler({
    clock: systemClock,
    log,
    catalog: catalogSource,
    ledgerOf,
    target: processes,
    learned: learnedStateFile(join(stateDir, 'learned.json')),
    metrics: autoscalerMetrics(registry),
    orders,
    engines: engineActivity(closers),
  });
  return {
    directory: processes,
    views: {
      status: (pool) => autoscaler.status(pool),
      advice: (pool) => autoscaler.advice(pool),
      decisions: (pool) => Promise.resolve(autoscaler.decisions(pool)),
      gpuUse: (pool) => autoscaler.gpuUse(pool),
      silence: () => null,
    },
    hasPeers: false,
    knowledge: () => 'live',
    async start() {
      closers.add('local processes', () => processes.close());
      await autoscaler.start();
      closers.add('autoscaler', () => autoscaler.stop());
    },
  };
}
