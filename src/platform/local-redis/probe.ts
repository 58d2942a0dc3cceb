import { Redis } from 'ioredis';
import { asError } from '../../core/errors.ts';
import { parseRedisInfo, type RedisInspection } from '../redis/inspect.ts';
import { type RedisTls, tlsOptions } from '../redis/target.ts';
import { maskRedisUrl } from '../redis/url.ts';

/** `answered`: with this password, perhaps still loading its data. `silent`: nothing usable is there; `problem` says why, without secrets. */
export type Probe = { kind: 'answered'; server: RedisInspection } | { kind: 'silent'; problem: string };

/** Asks the server at `url` who it is, once, within `timeoutMs` for each of connecting and answering. Never rejects. */
export async function probeRedis(url: string, timeoutMs: number, tls: RedisTls | null = null): Promise<Probe> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    connectionName: 'pilotlight-probe',
    ...(tls !== null && url.startsWith('rediss:') ? { tls: tlsOptions(tls) } : {}),
  });
  let connectionError: Error | undefined;
  client.on('error', (error: Error) => {
    connectionError = error;
  });
  try {
    await client.connect();
    const server = parseRedisInfo(await client.info());
    // A database that does not exist is only an error event: the client would go on in database 0.
    if (connectionError) throw connectionError;
    return { kind: 'answered', server };
  } catch (error) {
    return { kind: 'silent', problem: `${maskRedisUrl(url)}: ${(connectionError ?? asError(error)).message}` };
  } finally {
    client.disconnect();
  }
}
