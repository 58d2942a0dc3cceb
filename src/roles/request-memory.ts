import type { KeptArrivals, RequestKeys } from '../core/idempotency.ts';
import { RedisArrivals } from '../ingress/adapters/idempotency/kept-arrivals.ts';
import { RedisRequestKeys } from '../ingress/adapters/idempotency/redis-request-keys.ts';
import { systemClock } from '../platform/clock.ts';
import type { ProcessOptions } from './process-options.ts';

/** What the replicas of an installation remember of requests that may come again. */
export function requestMemory({ config, redis, closers }: Pick<ProcessOptions, 'config' | 'redis' | 'closers'>): {
  readonly keys: RequestKeys;
  readonly arrivals: KeptArrivals;
} {
  const prefix = `${redis.keyPrefix}:${config.installation}`;
  const keys = new RedisRequestKeys(redis.command, { prefix, clock: systemClock });
  closers.add('idempotency keys', () => keys.close());
  return { keys, arrivals: new RedisArrivals(redis.command, { prefix, clock: systemClock }) };
}
