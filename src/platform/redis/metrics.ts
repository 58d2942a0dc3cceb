import { Gauge, type Registry } from 'prom-client';
import type { RedisClient } from './connection.ts';
import { parseRedisInfo, type RedisInspection } from './inspect.ts';
import { primariesOf } from './server-of.ts';

interface Told {
  readonly server: string;
  /** null = it does not answer. */
  readonly inspection: RedisInspection | null;
}

/** Of each Redis that holds data, asked once a scrape. */
export function redisMetrics(registry: Registry, client: RedisClient): void {
  let asking: Promise<readonly Told[]> | null = null;
  // All three are collected at the same moment and share the answers.
  const ask = () =>
    (asking ??= Promise.all(primariesOf(client).map(tell)).finally(() => {
      asking = null;
    }));
  const gauge = (name: string, help: string, valueOf: (told: Told) => number | undefined) =>
    new Gauge({
      name,
      help,
      labelNames: ['server'] as const,
      registers: [registry],
      async collect() {
        const all = await ask();
        this.reset();
        for (const told of all) {
          const value = valueOf(told);
          if (value !== undefined) this.set({ server: told.server }, value);
        }
      },
    });
  gauge('pilotlight_redis_available', '1 while a Redis that holds data answers.', ({ inspection }) =>
    inspection === null ? 0 : 1,
  );
  gauge(
    'pilotlight_redis_memory_used_bytes',
    'Memory that a Redis which holds data uses.',
    ({ inspection }) => inspection?.usedBytes,
  );
  gauge(
    'pilotlight_redis_memory_limit_bytes',
    'Its maxmemory; absent where there is none.',
    ({ inspection }) => inspection?.limitBytes,
  );
}

async function tell(primary: ReturnType<typeof primariesOf>[number]): Promise<Told> {
  const { host = 'primary', port = 0 } = primary.options;
  const text = await primary.info('memory').catch(() => null);
  return { server: `${host}:${port}`, inspection: text === null ? null : parseRedisInfo(text) };
}
