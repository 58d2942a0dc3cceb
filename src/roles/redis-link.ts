import { join } from 'node:path';
import type { RedisConnection } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../config/config.ts';
import { asError, PilotlightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { systemClock } from '../platform/clock.ts';
import { resolveRedis } from '../platform/local-redis/resolve.ts';
import { openRedis, type RedisClient, whenReady } from '../platform/redis/connection.ts';
import { keepDataFormat } from '../platform/redis/data-format.ts';
import { describeTarget, type RedisTarget } from '../platform/redis/target.ts';
import { shareConnection } from '../queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../queue/adapters/job-index/channels.ts';
import { type Patience, patiently } from './patience.ts';
import { checkRedis } from './redis-checks.ts';
import { redisTarget } from './redis-target.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A little less than the startup probe of the chart gives (150 × 2 s), so that the last word is ours. */
const WAIT_IN_CLUSTER_MS = 285_000;

/** The connections of one process to its Redis. */
export interface RedisLink {
  readonly command: RedisClient;
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
  if (!options.config.kubernetes.enabled || !isGiven(options.config)) return openOnce(options, signal);
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

function isGiven({ redis }: Config): boolean {
  return redis.url !== null || redis.sentinel.nodes.length + redis.cluster.nodes.length > 0;
}

async function openOnce(options: RedisLinkOptions, signal: AbortSignal): Promise<RedisLink> {
  const { config, log } = options;
  const target = await redisTarget(config.redis);
  if (config.redis.tls.insecureSkipVerify) {
    log.warn({ setting: 'redis.tls.insecureSkipVerify' }, 'redis.not_verified');
  }
  if (target !== null && target.kind !== 'single') {
    const place = { target, source: `Redis ${describeTarget(target)}`, stop: () => Promise.resolve() };
    return connect(place, options, signal);
  }
  const dataDir = join(config.data.dir, 'redis');
  const start = { url: target?.url, dataDir, persistence: 'aof', lifetime: 'detached' } as const;
  const tls = target?.tls ?? null;
  const server = await resolveRedis({ ...start, tls, onProgress: options.onProgress }, signal);
  const place = { target: { kind: 'single', url: server.url, tls } as const, source: server.source };
  return connect({ ...place, stop: () => server.stop() }, options, signal);
}

interface Place {
  readonly target: RedisTarget;
  readonly source: string;
  readonly stop: () => Promise<void>;
}

async function connect(
  { target, source, stop }: Place,
  { config, log }: RedisLinkOptions,
  signal: AbortSignal,
): Promise<RedisLink> {
  const command = openRedis({ target, purpose: 'command', log });
  const subscriber = openRedis({ target, purpose: 'subscriber', log });
  const disconnect = () => {
    command.disconnect();
    subscriber.disconnect();
  };
  try {
    await whenReady(command, CONNECT_TIMEOUT_MS, signal).catch((cause: unknown) => {
      signal.throwIfAborted();
      const why = asError(cause).message;
      throw new PilotlightError('queue_unavailable', `${source} cannot be used (${why}); check that it runs.`, {
        cause,
      });
    });
    const inspections = await checkRedis({
      command,
      subscriber,
      kind: target.kind,
      keyPrefix: config.redis.keyPrefix,
      log,
    });
    await keepDataFormat(command, { keyPrefix: config.redis.keyPrefix, installation: config.installation });
    const [first] = inspections;
    return {
      command,
      subscriber,
      channels: new RedisChannels(subscriber),
      bullmq: await shareConnection(command),
      keyPrefix: config.redis.keyPrefix,
      source,
      version: `${first?.flavour ?? 'Redis'} ${first?.version ?? 'of unknown version'}`,
      close() {
        disconnect();
        return Promise.resolve();
      },
      stopServer: stop,
    };
  } catch (error) {
    disconnect();
    throw error;
  }
}
