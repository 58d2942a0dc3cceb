import { once } from 'node:events';
import { createLogger } from '../../platform/logger.ts';
import { createRedis } from '../../platform/redis/connection.ts';
import { inspectRedis } from '../../platform/redis/inspect.ts';
import { judgeRedis, type RedisFinding } from '../../platform/redis/judge.ts';
import { parseRedisUrl } from '../../platform/redis/url.ts';

const DEADLINE_MS = 8_000;

export interface RedisLook {
  /** "valkey 8.1" */
  readonly name: string;
  readonly findings: readonly RedisFinding[];
}

/** What a Redis says about itself, judged. Throws an Error when the URL is none or nothing answers there. */
export async function lookAtRedis(url: string, signal: AbortSignal): Promise<RedisLook> {
  const parsed = parseRedisUrl(url);
  if (!parsed.ok) throw new Error(parsed.problem);
  const client = createRedis({ url, purpose: 'command', log: createLogger({ level: 'silent' }) });
  // Its own log is silent; the deadline below says that nothing answered.
  client.on('error', () => undefined);
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]);
    await once(client, 'ready', { signal: within }).catch((cause: unknown) => {
      signal.throwIfAborted();
      throw new Error(`nothing answers within ${DEADLINE_MS / 1_000} s`, { cause });
    });
    const inspection = await inspectRedis(client);
    return {
      name: `${inspection.flavour} ${inspection.version ?? ''}`.trim(),
      findings: judgeRedis(inspection, inspection.mode === 'cluster' ? 'cluster' : 'single'),
    };
  } finally {
    client.disconnect();
  }
}
