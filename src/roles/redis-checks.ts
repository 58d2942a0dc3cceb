import type { Redis } from 'ioredis';
import { PilotlightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { isReplyError, type RedisClient } from '../platform/redis/connection.ts';
import { inspectRedis, type RedisInspection } from '../platform/redis/inspect.ts';
import { describePersistence, judgeRedis } from '../platform/redis/judge.ts';
import { missingRights } from '../platform/redis/rights.ts';
import { primariesOf } from '../platform/redis/server-of.ts';
import type { RedisTarget } from '../platform/redis/target.ts';

export interface RedisCheck {
  /** Not used by anybody else yet. */
  readonly command: RedisClient;
  readonly subscriber: Redis;
  readonly kind: RedisTarget['kind'];
  readonly keyPrefix: string;
  readonly log: Logger;
}

/**
 * Whether each server that holds data keeps what it is given, and lets us do what we must. Findings that are no obstacle
 * are logged. Throws `config_invalid` with all obstacles, each with its remedy.
 */
export async function checkRedis(check: RedisCheck): Promise<RedisInspection[]> {
  const { kind, log } = check;
  const { inspections, refusals, warnings } = await examineRedis(check);
  if (refusals.length > 0) {
    throw new PilotlightError('config_invalid', refusals.join(' '), {
      param: kind === 'single' ? 'redis.url' : 'redis',
    });
  }
  for (const finding of warnings) log.warn({ finding }, 'redis.not_ideal');
  const persistence = [...new Set(inspections.map(describePersistence))].join('; ');
  log.info({ kind, servers: inspections.length, persistence }, 'redis.checked');
  return inspections;
}

export interface RedisExamination {
  readonly inspections: RedisInspection[];
  /** Obstacles and what is no obstacle, each with its remedy. */
  readonly refusals: readonly string[];
  readonly warnings: readonly string[];
}

/** Asks each server that holds data. Rejects when one does not answer. */
export async function examineRedis({
  command,
  subscriber,
  kind,
  keyPrefix,
}: Omit<RedisCheck, 'log'>): Promise<RedisExamination> {
  const servers = primariesOf(command);
  const missing = new Set(await missingChannel(subscriber, keyPrefix));
  const inspections: RedisInspection[] = [];
  const refusals = new Set<string>();
  const warnings = new Set<string>();
  for (const server of servers) {
    const inspection = await inspected(server);
    if (inspection === null) {
      missing.add('+info');
      continue;
    }
    inspections.push(inspection);
    const findings = judgeRedis(inspection, kind);
    for (const { severity, text } of findings) (severity === 'refuse' ? refusals : warnings).add(text);
    // A server that is none of ours would not say more.
    if (findings.some(({ severity }) => severity === 'refuse')) continue;
    for (const right of await missingRights(server, keyPrefix)) missing.add(right);
  }
  if (missing.size > 0) {
    refusals.add(
      `the user lacks rights in Redis: ${[...missing].join(' ')}; give it those of infra/redis/pilotlight.acl.`,
    );
  }
  return { inspections, refusals: [...refusals], warnings: [...warnings] };
}

async function inspected(server: Redis): Promise<RedisInspection | null> {
  try {
    return await inspectRedis(server);
  } catch (error) {
    if (isReplyError(error) && error.message.startsWith('NOPERM')) return null;
    throw error;
  }
}

async function missingChannel(subscriber: Redis, keyPrefix: string): Promise<readonly string[]> {
  const channel = `${keyPrefix}:check`;
  try {
    await subscriber.subscribe(channel);
    await subscriber.unsubscribe(channel);
    return [];
  } catch (error) {
    if (!isReplyError(error) || !error.message.startsWith('NOPERM')) return [];
    return [/channel/i.test(error.message) ? `channel &${keyPrefix}:*` : '+subscribe +unsubscribe'];
  }
}
