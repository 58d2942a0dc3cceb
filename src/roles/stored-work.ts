import type { Registry } from 'prom-client';
import type { BlobStore } from '../core/blobs.ts';
import { callFromJob } from '../ingress/policy/build-request.ts';
import { systemClock } from '../platform/clock.ts';
import { RedisJobHints } from '../queue/adapters/job-index/redis-job-hints.ts';
import { RedisJobIndex } from '../queue/adapters/job-index/redis-job-index.ts';
import { RedisOutboxClaims } from '../queue/adapters/job-index/redis-outbox-claims.ts';
import { BlobJobStore } from '../queue/adapters/job-store/blob-job-store.ts';
import { RedisJobEvents } from '../queue/adapters/job-stream/redis-job-events.ts';
import { storedJobMetrics } from '../queue/jobs/metrics.ts';
import { StoredExecution } from '../queue/jobs/stored-execution.ts';
import { StoredWork } from '../queue/jobs/stored-work.ts';
import type { Engine } from './engine.ts';
import { ingressSettings } from './ingress-settings.ts';
import type { ProcessOptions } from './process-options.ts';
import { requestMemory } from './request-memory.ts';

/** Jobs of this process: service, intake, sweeps. Starts nothing. */
export function openStoredWork(
  options: ProcessOptions,
  engine: Engine,
  registry: Registry,
  blobs: BlobStore,
): StoredWork {
  const { config, catalogSource, redis, log, closers } = options;
  const { pools, tally, advisor, tenants } = engine;
  const clock = systemClock;
  const store = new BlobJobStore({}, { blobs, log });
  closers.add('job store', () => store.close());
  const settings = ingressSettings(config);
  const execution = new StoredExecution({
    runner: tally,
    toRequest: (spec, body) => callFromJob(spec, body, catalogSource.current(), settings, tenants),
    store,
    lanes: (pool) => pools.get(pool)?.lane,
    clock,
    log,
    maxResultBytes: config.limits.responseBytes,
    events: jobEvents(options),
  });
  const prefix = `${redis.keyPrefix}:${config.installation}`;
  return new StoredWork({
    store,
    index: new RedisJobIndex(redis.command, prefix),
    hints: new RedisJobHints(redis.command, redis.channels, prefix),
    outboxClaims: new RedisOutboxClaims(redis.command, prefix),
    catalog: catalogSource,
    tenants,
    advisor,
    execute: execution.execute,
    clock,
    log,
    retentionMs: config.limits.jobResultRetentionMs,
    meter: storedJobMetrics(registry, store),
    keys: requestMemory(options).keys,
  });
}

/** What streamed jobs show while they run, in any process. */
export function jobEvents({ config, redis }: Pick<ProcessOptions, 'config' | 'redis'>): RedisJobEvents {
  return new RedisJobEvents(redis.command, redis.channels, `${redis.keyPrefix}:${config.installation}`);
}
