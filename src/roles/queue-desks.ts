import type { CatalogSource, PoolKey } from '../core/objects.ts';
import type { DeadLetterDesk, QueueDesks } from '../core/queues.ts';
import type { JobPlace } from '../queue/jobs/ports.ts';
import { PoolQueueDesk } from '../queue/operator/queue-desk.ts';
import type { PoolSet } from './pool-set.ts';

export interface QueueDeskNeeds {
  readonly pools: Pick<PoolSet, 'get'>;
  readonly catalog: CatalogSource;
  /** Null: no stored jobs are kept here. */
  readonly stored: {
    readonly placeOf: (id: string) => Promise<JobPlace | null>;
    readonly deadLetters: (pool: PoolKey) => DeadLetterDesk | undefined;
  } | null;
}

/** What an operator sees and does, for each pool that this process serves. */
export function queueDesks({ pools, catalog, stored }: QueueDeskNeeds): QueueDesks {
  return (pool) => {
    const parts = pools.get(pool);
    if (!parts) return undefined;
    return new PoolQueueDesk({
      order: parts.order,
      control: parts.order,
      jobs: parts.jobs,
      chunks: parts.chunks,
      catalog,
      placeOf: (id) => stored?.placeOf(id) ?? Promise.resolve(null),
      deadLetters: stored?.deadLetters(pool) ?? null,
    });
  };
}
