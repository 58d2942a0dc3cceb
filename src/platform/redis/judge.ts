import type { RedisInspection } from './inspect.ts';
import type { RedisTarget } from './target.ts';
import { isAtLeast, MINIMUM_REDIS_VERSION } from './version.ts';

export interface RedisFinding {
  severity: 'refuse' | 'warn';
  /** One sentence: what is wrong, what it would cost, and the setting that cures it. */
  text: string;
}

/** Above this share of its memory a server is said to be nearly full. */
const NEARLY_FULL = 0.9;

/** What stands between this Redis and the promise that an accepted request is not lost. Empty: nothing. */
export function judgeRedis(redis: RedisInspection, kind: RedisTarget['kind'] = 'single'): RedisFinding[] {
  return [...whatItIs(redis, kind), ...whatItKeeps(redis, kind)];
}

function whatItIs(redis: RedisInspection, kind: RedisTarget['kind']): RedisFinding[] {
  const { name, refuse, warn, findings } = notes(redis);
  if (redis.mode === 'sentinel') {
    refuse(`${name} is a sentinel and holds no data; name it in redis.sentinel.nodes instead of redis.url.`);
    return findings;
  }
  if (redis.version === undefined) {
    warn(`Redis does not tell its version; Pilotlight needs ${MINIMUM_REDIS_VERSION} or newer.`);
  } else if (!isAtLeast(redis.version, MINIMUM_REDIS_VERSION)) {
    refuse(`${name} is too old; Pilotlight needs ${MINIMUM_REDIS_VERSION} or newer.`);
  }
  if (redis.runId === undefined) {
    refuse(`${name} hides its run_id, by which a fail-over is noticed; use a server that shows it in INFO.`);
  }
  if (redis.role === 'replica') {
    refuse(`${name} is a replica and takes no writes; name its primary, or its sentinels in redis.sentinel.nodes.`);
  }
  if (redis.mode === 'cluster' && kind !== 'cluster') {
    refuse(`${name} is a node of a cluster; name some of its nodes in redis.cluster.nodes instead.`);
  }
  if (redis.mode === 'standalone' && kind === 'cluster') {
    refuse(`${name} is no node of a cluster; name it in redis.url instead of redis.cluster.nodes.`);
  }
  if (redis.clusterState !== undefined && redis.clusterState !== 'ok') {
    warn(`${name} says that its cluster is in state "${redis.clusterState}"; see CLUSTER INFO.`);
  }
  return findings;
}

function whatItKeeps(redis: RedisInspection, kind: RedisTarget['kind']): RedisFinding[] {
  const { name, refuse, warn, findings } = notes(redis);
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
  } else if (redis.appendfsync === 'no') {
    warn(`${name} leaves it to the system when its append-only file reaches the disk; set "appendfsync everysec".`);
  }
  const { usedBytes, limitBytes } = redis;
  if (usedBytes !== undefined && limitBytes !== undefined && usedBytes > NEARLY_FULL * limitBytes) {
    const percent = Math.floor((100 * usedBytes) / limitBytes);
    warn(`${name} uses ${percent} % of its memory and refuses writes when it is full; raise "maxmemory".`);
  }
  const hasReplicas = kind !== 'single' || (redis.replicas ?? 0) > 0;
  if (hasReplicas && redis.needsReplicas === false) {
    warn(
      `${name} takes writes also while it is cut off from its replicas, and a fail-over loses them; set "min-replicas-to-write 1" and "min-replicas-max-lag 2".`,
    );
  }
  return findings;
}

function notes({ flavour, version }: RedisInspection) {
  const findings: RedisFinding[] = [];
  return {
    findings,
    name: `${flavour} ${version ?? '(unknown version)'}`,
    refuse: (text: string) => findings.push({ severity: 'refuse', text }),
    warn: (text: string) => findings.push({ severity: 'warn', text }),
  };
}

/** What a restart of the server costs, in words: "append-only file, synced every second". */
export function describePersistence({ appendonly, appendfsync }: RedisInspection): string {
  if (appendonly === undefined) return 'persistence unknown';
  if (!appendonly) return 'no append-only file';
  const synced = { always: 'synced with every write', everysec: 'synced every second', no: 'synced by the system' };
  const how = Object.entries(synced).find(([name]) => name === appendfsync)?.[1];
  return how === undefined ? 'append-only file' : `append-only file, ${how}`;
}
