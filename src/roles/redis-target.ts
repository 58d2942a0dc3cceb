import type { Config } from '../config/config.ts';
import { readTls } from '../platform/redis/read-tls.ts';
import { parseRedisAddress, type RedisAddress, type RedisTarget } from '../platform/redis/target.ts';

/** Where the configuration says that Redis is; null = one on this machine is to be found or started. */
export async function redisTarget(settings: Config['redis']): Promise<RedisTarget | null> {
  const { url, sentinel, cluster, username, password } = settings;
  if (url === null && sentinel.nodes.length + cluster.nodes.length === 0) return null;
  const files = await readTls(settings.tls);
  const tls = settings.tls.enabled ? files : null;
  if (url !== null) return { kind: 'single', url, tls: files };
  const login = { username, password };
  if (cluster.nodes.length > 0) return { kind: 'cluster', nodes: addresses(cluster.nodes), login, tls };
  return {
    kind: 'sentinel',
    sentinels: addresses(sentinel.nodes),
    masterName: sentinel.masterName,
    database: sentinel.database,
    login,
    tls,
    sentinelLogin: { username: sentinel.username, password: sentinel.password },
    sentinelTls: sentinel.tls ? files : null,
  };
}

function addresses(texts: readonly string[]): RedisAddress[] {
  return texts.map((text) => {
    const address = parseRedisAddress(text);
    if (address === null) throw new Error(`"${text}" is no address of a Redis`);
    return address;
  });
}
