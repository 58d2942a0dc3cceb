import type { RedisClient } from './connection.ts';

/** What a Redis says about itself. Managed servers hide some of it: then the field is undefined. */
export interface RedisInspection {
  /** "valkey" or "redis". */
  flavour: string;
  version: string | undefined;
  /** Random per start of the server: a new one means that it restarted, or that another server answers now. */
  runId: string | undefined;
  pid: number | undefined;
  /** The configuration file that it was started with. */
  configFile: string | undefined;
  isLoading: boolean;
  maxmemoryPolicy: string | undefined;
  appendonly: boolean | undefined;
}

export interface RedisFinding {
  severity: 'refuse' | 'warn';
  /** One sentence: what is wrong, what it would cost, and the setting that cures it. */
  text: string;
}

/** BullMQ 6.7 recommends 6.2; the ledger uses nothing newer. */
export const MINIMUM_REDIS_VERSION = '6.2';

/** Asks with one INFO, which servers that forbid CONFIG still answer. Rejects as any command does. */
export async function inspectRedis(client: RedisClient): Promise<RedisInspection> {
  return parseRedisInfo(await client.info());
}

/** Reads the text of INFO. Total: lines it does not know are passed over. */
export function parseRedisInfo(info: string): RedisInspection {
  const fields = new Map<string, string>();
  for (const line of info.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const pid = Number(fields.get('process_id'));
  const aofEnabled = fields.get('aof_enabled');
  return {
    flavour: fields.get('server_name') ?? 'redis',
    version: fields.get('valkey_version') ?? fields.get('redis_version'),
    runId: fields.get('run_id'),
    pid: Number.isInteger(pid) && pid > 0 ? pid : undefined,
    configFile: fields.get('config_file') || undefined,
    isLoading: fields.get('loading') === '1',
    maxmemoryPolicy: fields.get('maxmemory_policy'),
    appendonly: aofEnabled === undefined ? undefined : aofEnabled === '1',
  };
}

/** What stands between this Redis and the promise that an accepted request is not lost. Empty: nothing. */
export function judgeRedis(redis: RedisInspection): RedisFinding[] {
  const findings: RedisFinding[] = [];
  const refuse = (text: string) => findings.push({ severity: 'refuse', text });
  const warn = (text: string) => findings.push({ severity: 'warn', text });
  const name = `${redis.flavour} ${redis.version ?? '(unknown version)'}`;

  if (redis.version === undefined)
    warn(`Redis does not tell its version; Pilotlight needs ${MINIMUM_REDIS_VERSION} or newer.`);
  else if (!isAtLeast(redis.version, MINIMUM_REDIS_VERSION))
    refuse(`${name} is too old; Pilotlight needs ${MINIMUM_REDIS_VERSION} or newer.`);

  if (redis.maxmemoryPolicy === undefined) {
    warn('Redis does not tell its maxmemory-policy; it must be "noeviction", or a full Redis drops accepted requests.');
  } else if (redis.maxmemoryPolicy !== 'noeviction') {
    refuse(
      `${name} has maxmemory-policy "${redis.maxmemoryPolicy}" and would drop accepted requests when full; set it to "noeviction".`,
    );
  }
  if (redis.appendonly === false) {
    warn(
      `${name} keeps no append-only file: its restart empties the backlog, which is then rebuilt from the accept records; set "appendonly yes".`,
    );
  }
  return findings;
}

/** Whether "7.0.15" is at least "6.2"; missing parts are zero. */
export function isAtLeast(version: string, minimum: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [index, wanted] of minimum.split('.').map(Number).entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
