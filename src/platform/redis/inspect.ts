import type { Redis } from 'ioredis';
import { isReplyError } from './connection.ts';

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
  /** Absent where it was not asked for, or may not be asked. */
  appendfsync?: string | undefined;
  mode?: 'standalone' | 'cluster' | 'sentinel' | undefined;
  role?: 'primary' | 'replica' | undefined;
  replicas?: number | undefined;
  /** Whether it stops taking writes when no replica keeps up (min-replicas-to-write). */
  needsReplicas?: boolean | undefined;
  usedBytes?: number | undefined;
  /** undefined also = no limit. */
  limitBytes?: number | undefined;
  /** "ok", or what CLUSTER INFO says instead. */
  clusterState?: string | undefined;
}

const MODES = ['standalone', 'cluster', 'sentinel'] as const;

/**
 * Asks one server: INFO, which servers that forbid CONFIG still answer, then what only CONFIG and CLUSTER tell, where
 * they are allowed. Rejects as any command does.
 */
export async function inspectRedis(server: Redis): Promise<RedisInspection> {
  const inspection = parseRedisInfo(await server.info());
  const appendfsync = await unlessForbidden(() => server.config('GET', 'appendfsync'));
  const isCluster = inspection.mode === 'cluster';
  const cluster = isCluster ? await unlessForbidden(() => server.cluster('INFO')) : undefined;
  return {
    ...inspection,
    appendfsync: Array.isArray(appendfsync) ? String(appendfsync[1]) : undefined,
    clusterState: cluster === undefined ? undefined : fieldsOf(cluster).get('cluster_state'),
  };
}

async function unlessForbidden<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isReplyError(error)) return undefined;
    throw error;
  }
}

/** Reads the text of INFO. Total: lines it does not know are passed over. */
export function parseRedisInfo(info: string): RedisInspection {
  const fields = fieldsOf(info);
  const number = (name: string) => {
    const value = Number(fields.get(name) ?? Number.NaN);
    return Number.isInteger(value) && value >= 0 ? value : undefined;
  };
  const aofEnabled = fields.get('aof_enabled');
  const role = fields.get('role');
  return {
    flavour: fields.get('server_name') ?? 'redis',
    version: fields.get('valkey_version') ?? fields.get('redis_version'),
    runId: fields.get('run_id'),
    pid: number('process_id') || undefined,
    configFile: fields.get('config_file') || undefined,
    isLoading: fields.get('loading') === '1',
    maxmemoryPolicy: fields.get('maxmemory_policy'),
    appendonly: aofEnabled === undefined ? undefined : aofEnabled === '1',
    mode: MODES.find((mode) => mode === (fields.get('redis_mode') ?? fields.get('server_mode'))),
    role: role === undefined ? undefined : role === 'master' ? 'primary' : 'replica',
    replicas: number('connected_slaves'),
    needsReplicas: role === undefined ? undefined : fields.has('min_slaves_good_slaves'),
    usedBytes: number('used_memory'),
    limitBytes: number('maxmemory') || undefined,
  };
}

function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
