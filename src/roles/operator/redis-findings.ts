import type { Config } from '../../config/config.ts';
import { asError } from '../../core/errors.ts';
import { createLogger } from '../../platform/logger.ts';
import { openRedis, whenReady } from '../../platform/redis/connection.ts';
import type { RedisFinding } from '../../platform/redis/judge.ts';
import { describeTarget } from '../../platform/redis/target.ts';
import { examineRedis } from '../redis-checks.ts';
import { redisTarget } from '../redis-target.ts';

const DEADLINE_MS = 8_000;

export interface RedisLook {
  /** "valkey 8.1, 3 servers" */
  readonly name: string;
  readonly findings: readonly RedisFinding[];
}

/**
 * What the Redis of the settings says about itself and lets its user do, judged as at a start; null = the settings name none.
 * Throws an Error when nothing answers there, or a certificate cannot be read.
 */
export async function lookAtRedis(settings: Config['redis'], signal: AbortSignal): Promise<RedisLook | null> {
  const target = await redisTarget(settings);
  if (target === null) return null;
  const log = createLogger({ level: 'silent' });
  const command = openRedis({ target, purpose: 'command', log });
  const subscriber = openRedis({ target, purpose: 'subscriber', log });
  try {
    await Promise.all([command, subscriber].map((client) => whenReady(client, DEADLINE_MS, signal))).catch(
      (cause: unknown) => {
        signal.throwIfAborted();
        const where = target.kind === 'single' ? 'there' : `at the ${describeTarget(target)}`;
        throw new Error(`nothing fit answers ${where}: ${asError(cause).message}`, { cause });
      },
    );
    const check = { command, subscriber, kind: target.kind, keyPrefix: settings.keyPrefix };
    const { inspections, refusals, warnings } = await examineRedis(check);
    const names = new Set(inspections.map(({ flavour, version }) => `${flavour} ${version ?? ''}`.trim()));
    const servers = inspections.length > 1 ? `, ${inspections.length} servers` : '';
    return {
      name: `${[...names].join(' and ')}${servers}`,
      findings: [
        ...refusals.map((text): RedisFinding => ({ severity: 'refuse', text })),
        ...warnings.map((text): RedisFinding => ({ severity: 'warn', text })),
      ],
    };
  } finally {
    command.disconnect();
    subscriber.disconnect();
  }
}
