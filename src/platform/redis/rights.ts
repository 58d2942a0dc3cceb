import type { Redis } from 'ioredis';
import type { RedisCommand } from './many.ts';

/** Commands that have a key, and the arguments behind it that make them complete. None is executed: see `missingRights`. */
export const KEY_COMMANDS: readonly string[] = [
  ...['get', 'set v', 'setrange 0 v', 'getrange 0 1', 'strlen', 'incr', 'incrby 1', 'decr'],
  ...['del', 'unlink', 'exists', 'type', 'rename @', 'persist', 'pttl', 'expire 1', 'pexpire 1', 'pexpireat 1'],
  ...[
    'hget f',
    'hset f v',
    'hmset f v',
    'hmget f',
    'hgetall',
    'hdel f',
    'hexists f',
    'hincrby f 1',
    'hkeys',
    'hlen',
    'hvals',
  ],
  ...['lindex 0', 'llen', 'lpop', 'lpos v', 'lpush v', 'lrange 0 1', 'lrem 0 v', 'lset 0 v', 'ltrim 0 1'],
  ...['rpop', 'rpoplpush @', 'rpush v'],
  ...['sadd v', 'scard', 'sismember v', 'smembers', 'srandmember', 'srem v', 'sunionstore @'],
  ...['xadd * f v', 'xdel 1-1', 'xlen', 'xrange - +', 'xtrim maxlen 1'],
  ...[
    'zadd 1 v',
    'zcard',
    'zcount 0 1',
    'zlexcount - +',
    'zpopmin',
    'zrange 0 1',
    'zrangebylex - +',
    'zrangebyscore 0 1',
  ],
  ...['zrank v', 'zrem v', 'zremrangebyrank 0 1', 'zremrangebyscore 0 1', 'zrevrange 0 1', 'zrevrangebyscore 1 0'],
  ...['zrevrank v', 'zscore v'],
];
const SHA = '0'.repeat(40);

/**
 * What of the rights that Pilotlight needs the user of this connection lacks, as Redis names it: "set", "channel". Each
 * command is queued in a transaction that is then discarded, which checks rights and executes nothing. Nobody else may use
 * the connection meanwhile. Empty: nothing is missing.
 */
export async function missingRights(server: Redis, prefix: string): Promise<readonly string[]> {
  const key = `${prefix}:{rights}:check`;
  const probes: readonly RedisCommand[] = [
    ...KEY_COMMANDS.map((line): RedisCommand => {
      const [name = '', ...args] = line.split(' ');
      return [name, key, ...args.map((word) => (word === '@' ? key : word))];
    }),
    ['publish', `${prefix}:check`, ''],
    ['evalsha', SHA, 1, key],
    ['eval', 'return 0', 1, key],
  ];
  // By `call`: a pipeline that knows of a transaction would end it with EXEC.
  const lines = [['multi'], ...probes, ['discard']].map((line) => ['call', ...line]);
  const replies = (await server.pipeline(lines).exec()) ?? [];
  const missing = new Set<string>();
  for (const [place, name] of ['multi', ...probes.map(([name]) => name), 'discard'].entries()) {
    const why = replies[place]?.[0]?.message ?? '';
    if (!why.startsWith('NOPERM')) continue;
    missing.add(/channel/i.test(why) ? `channel &${prefix}:*` : /\bkey/i.test(why) ? `keys ~${prefix}:*` : `+${name}`);
  }
  return [...missing];
}
