import type { Logger } from '../../../core/logger.ts';
import type { PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import type { PodMarks } from './pod-marks.ts';
import type { Workloads } from './workloads.ts';

export interface ReleaseOrder {
  readonly pool: PoolSpec;
  readonly marks: PodMarks;
  readonly workloads: Workloads;
  readonly otherScaler: (target: ScaleTarget) => string | null;
  readonly log: Logger;
}

/** Leaves the targets of a pool as its `onDelete` says, and its pods without any mark of ours. Throws what failed. */
export async function releasePool(order: ReleaseOrder): Promise<void> {
  const { pool, marks, log } = order;
  // Asked of the API server itself: a feed may not show yet what was marked a moment ago.
  await marks.clear(await marks.marked(pool));
  for (const target of pool.targets) {
    const most = leftReplicas(pool, target);
    if (most === null || target.scaleTargetRef === undefined) continue;
    const owner = order.workloads.ownerOf(pool, target) ?? pool.key;
    const kept = owner === pool.key ? order.otherScaler(target) : 'another pool scales it';
    if (kept !== null) {
      log.info({ pool: pool.key, target: target.name, why: kept }, 'target.left_as_it_is');
      continue;
    }
    const workload = order.workloads.open(pool, target);
    await workload?.read();
    if (workload === undefined || workload.missing !== null) continue;
    const replicas = await workload.change((now) => Math.min(now, most));
    log.info({ pool: pool.key, target: target.name, replicas, onDelete: pool.onDelete }, 'target.released');
  }
}

/** At most so many are left; null = as they are. */
function leftReplicas({ onDelete }: PoolSpec, target: ScaleTarget): number | null {
  switch (onDelete) {
    case 'Keep':
      return null;
    case 'ScaleToZero':
      return 0;
    case 'ScaleToMin':
      return target.minReplicas;
  }
}
