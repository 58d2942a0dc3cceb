import { join } from 'node:path';
import type { RedisConnection } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { PilotlightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { systemClock } from '../platform/clock.ts';
import { resolveRedis } from '../platform/local-redis/resolve.ts';
import { createRedis, whenReady } from '../platform/redis/connection.ts';
import { inspectRedis, judgeRedis } from '../platform/redis/inspect.ts';
import { shareConnection } from '../queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../queue/adapters/job-index/channels.ts';
import { type Patience, patiently } from './patience.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A little less than the startup probe of the chart gives (150 × 2 s), so that the last word is ours. */
const WAIT_IN_CLUSTER_MS = 285_000;

/** The connections of one process to its Redis. */
export interface RedisLink {
  readonly command: Redis;
  readonly subscriber: Redis;
  readonly channels: RedisChannels;
  /** Over `command`; BullMQ queues and Workers share it. */
  readonly bullmq: RedisConnection;
  readonly keyPrefix: string;
  /** For people, without secrets. */
  readonly source: string;
  readonly version: string;
  close(): Promise<void>;
  /** Ends a bundled server; leaves the user's own alone. */
  stopServer(): Promise<void>;
}

export interface RedisLinkOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly onProgress: (sentence: string) => void;
}

/**
 * Finds or starts Redis, checks that it keeps what it is given, connects. In a cluster a Redis that is away is waited for,
 * because a pod that ends is started again later and later. Throws a PilotlightError with the remedy.
 */
export function openRedisLink(options: RedisLinkOptions, signal: AbortSignal): Promise<RedisLink> {
  if (!options.config.kubernetes.enabled || options.config.redis.url === null) return openOnce(options, signal);
  const patience: Patience = {
    clock: systemClock,
    limitMs: WAIT_IN_CLUSTER_MS,
    // A server that was reached and is not fit, or a url that is none, does not mend itself.
    mayPass: (error) => !(error instanceof PilotlightError) || error.code === 'queue_unavailable',
    onWait(error, waitedMs) {
      options.log.warn({ problem: error.message, waitedMs }, 'redis.waited_for');
      options.onProgress(`Waiting for Redis: ${error.message}`);
    },
  };
  return patiently(() => openOnce(options, signal), patience, signal);
}

async function openOnce({ config, log, onProgress }: RedisLinkOptions, signal: AbortSignal): Promise<RedisLink> {
  const resolved = await resolveRedis(
    {
      url: config.redis.url ?? undefined,
      dataDir: join(config.data.dir, 'redis'),
      persistence: 'aof',
      lifetime: 'detached',
      onProgress,
    },
    signal,
  );
  const command = createRedis({ url: resolved.url, purpose: 'command', log });
  const subscriber = createRedis({ url: resolved.url, purpose: 'subscriber', log });
  const disconnect = () => {
    command.disconnect();
    subscriber.disconnect();
  };
  try {
    await whenReady(command, CONNECT_TIMEOUT_MS, signal);
    const version = await checkedVersion(command, log);
    return {
      command,
      subscriber,
      channels: new RedisChannels(subscriber),
      bullmq: await shareConnection(command),
      keyPrefix: config.redis.keyPrefix,
      source: resolved.source,
      version,
      close() {
        disconnect();
        return Promise.resolve();
      },
      stopServer: () => resolved.stop(),
    };
  } catch (error) {
    disconnect();
    throw error;
  }
}

async function checkedVersion(command: Redis, log: Logger): Promise<string> {
  const inspection = await inspectRedis(command);
  const findings = judgeRedis(inspection);
  const refusals = findings.filter(({ severity }) => severity === 'refuse').map(({ text }) => text);
  if (refusals.length > 0) throw new PilotlightError('config_invalid', refusals.join(' '), { param: 'redis.url' });
  for (const { text } of findings) log.warn({ finding: text }, 'redis.not_ideal');
  return `${inspection.flavour} ${inspection.version ?? 'of unknown version'}`;
}
