import { Redis } from 'ioredis';

const CONNECT_TIMEOUT_MS = 5_000;
const SCAN_COUNT = 1_000;

/** Removes every key that begins with the prefix from the user's own Redis. Resolves with how many there were. */
export async function removeKeys(url: string, prefix: string): Promise<number> {
  const redis = new Redis(url, { lazyConnect: true, connectTimeout: CONNECT_TIMEOUT_MS, retryStrategy: () => null });
  // A connection that breaks rejects the command that is waiting, which is where it is heard of.
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    let removed = 0;
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}:*`, 'COUNT', SCAN_COUNT);
      if (keys.length > 0) removed += await redis.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
    return removed;
  } finally {
    redis.disconnect();
  }
}
