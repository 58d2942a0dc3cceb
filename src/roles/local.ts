import { RedisPoolOrders } from '../autoscaler/adapters/orders/redis-pool-orders.ts';
import type { FileCatalogSource } from '../config/objects/file-catalog-source.ts';
import { formatProblem, formatProblems } from '../config/problem.ts';
import { systemClock } from '../platform/clock.ts';
import { createRegistry } from '../platform/metrics.ts';
import { redisMetrics } from '../platform/redis/metrics.ts';
import { type OpenedProcess, openGateway } from './gateway.ts';
import { followGonePools } from './gone-pools.ts';
import { openLocalScaling } from './local-scaling.ts';
import type { ProcessBase, ProcessOptions } from './process-options.ts';

/** Every role in one process: objects from files, replicas as local processes. */
export async function openLocal(base: ProcessBase, files: FileCatalogSource): Promise<OpenedProcess> {
  const { config, log, closers, version, redis } = base;
  const orders = new RedisPoolOrders({
    client: redis.command,
    channels: redis.channels,
    place: { keyPrefix: redis.keyPrefix, installation: config.installation },
    clock: systemClock,
    log,
  });
  await orders.start();
  closers.add('orders', () => orders.stop());
  const options: ProcessOptions = {
    ...base,
    kube: null,
    orders,
    catalogSource: files,
    objectProblems: () => files.problems().map(formatProblem),
  };
  const registry = createRegistry({ version, role: config.role });
  redisMetrics(registry, redis.command);
  followGonePools(registry, files, closers);
  const gateway = await openGateway(options, registry, (pools) =>
    openLocalScaling(options, registry, (pool) => pools().require(pool).order),
  );
  files.watch((reload) => {
    const problems = formatProblems(reload.problems);
    if (reload.kind === 'refused') log.error({ problems }, 'objects.refused');
    else log.info({ change: reload.kind, problems }, 'objects.reloaded');
  });
  closers.add('object files', () => files.close());
  return gateway;
}
