import { createRegistry } from '../platform/metrics.ts';
import { redisMetrics } from '../platform/redis/metrics.ts';
import { openController } from './cluster/controller.ts';
import { openControllerAdmin } from './cluster/controller-admin.ts';
import { openGatewayScaling } from './cluster/gateway-scaling.ts';
import { openClusterProcess } from './cluster/process.ts';
import { type OpenedProcess, openGateway } from './gateway.ts';
import { followGonePools } from './gone-pools.ts';
import { LedgerSet } from './ledger-set.ts';
import type { ProcessBase } from './process-options.ts';

/**
 * The roles of a process that works with an API server. With role `all` its controller and its gateway are as far apart
 * as in two processes: they meet in Redis.
 */
export async function openInCluster(base: ProcessBase, signal: AbortSignal): Promise<OpenedProcess> {
  const { config, version } = base;
  const registry = createRegistry({ version, role: config.role });
  redisMetrics(registry, base.redis.command);
  const cluster = await openClusterProcess(base, registry, signal);
  const { options, pods } = cluster;
  followGonePools(registry, options.catalogSource, base.closers);
  if (config.role === 'gateway') {
    cluster.rights.start();
    base.closers.add('check of rights', () => cluster.rights.stop());
    return openGateway(options, registry, () => openGatewayScaling(options, pods));
  }
  if (config.role === 'controller') {
    const ledgers = new LedgerSet(options);
    base.closers.add('ledgers', () => ledgers.close());
    const controller = openController(cluster, registry, ledgers.of);
    const { url } = await openControllerAdmin(options, registry, ledgers.of);
    controller.start();
    return { apiUrl: null, adminUrl: url, models: [] };
  }
  return openGateway(options, registry, (opened) => {
    const scaling = openGatewayScaling(options, pods);
    const controller = openController(cluster, registry, (pool) => opened().require(pool).order);
    return {
      ...scaling,
      async start() {
        await scaling.start();
        controller.start();
      },
    };
  });
}
