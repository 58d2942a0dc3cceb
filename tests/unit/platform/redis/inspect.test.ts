import { expect, test } from 'vitest';
import { parseRedisInfo, type RedisInspection } from '../../../../src/platform/redis/inspect.ts';
import { judgeRedis } from '../../../../src/platform/redis/judge.ts';
import { isAtLeast } from '../../../../src/platform/redis/version.ts';

const healthy: RedisInspection = {
  flavour: 'redis',
  version: '7.0.15',
  runId: 'a1',
  pid: 12,
  configFile: undefined,
  isLoading: false,
  maxmemoryPolicy: 'noeviction',
  appendonly: true,
};

test.each([
  { name: 'a healthy server has no findings', redis: {}, want: [] },
  { name: 'the oldest version that is allowed', redis: { version: '6.2.0' }, want: [] },
  { name: 'an older version', redis: { version: '6.0.16' }, want: [['refuse', '6.2']] },
  { name: 'no version', redis: { version: undefined }, want: [['warn', 'version']] },
  { name: 'an eviction policy', redis: { maxmemoryPolicy: 'allkeys-lru' }, want: [['refuse', '"allkeys-lru"']] },
  { name: 'an unknown policy', redis: { maxmemoryPolicy: undefined }, want: [['warn', 'noeviction']] },
  { name: 'no append-only file', redis: { appendonly: false }, want: [['warn', 'appendonly yes']] },
  { name: 'an unknown append-only file', redis: { appendonly: undefined }, want: [] },
  { name: 'a file that is synced at leisure', redis: { appendfsync: 'no' }, want: [['warn', 'appendfsync everysec']] },
  { name: 'a hidden run_id', redis: { runId: undefined }, want: [['refuse', 'run_id']] },
  { name: 'a replica', redis: { role: 'replica' as const }, want: [['refuse', 'redis.sentinel.nodes']] },
  { name: 'a sentinel', redis: { mode: 'sentinel' as const }, want: [['refuse', 'redis.sentinel.nodes']] },
  { name: 'a node of a cluster', redis: { mode: 'cluster' as const }, want: [['refuse', 'redis.cluster.nodes']] },
  { name: 'a cluster that is down', redis: { clusterState: 'fail' }, want: [['warn', '"fail"']] },
  { name: 'room that is left', redis: { usedBytes: 89, limitBytes: 100 }, want: [] },
  { name: 'little room', redis: { usedBytes: 95, limitBytes: 100 }, want: [['warn', '95 %']] },
  { name: 'no limit', redis: { usedBytes: 95, limitBytes: undefined }, want: [] },
  {
    name: 'a replica that it does not wait for',
    redis: { replicas: 1, needsReplicas: false },
    want: [['warn', 'min-replicas-to-write 1']],
  },
  { name: 'a replica that it waits for', redis: { replicas: 1, needsReplicas: true }, want: [] },
])('$name', ({ redis, want }) => {
  const findings = judgeRedis({ ...healthy, ...redis });
  expect(findings.map((finding) => finding.severity)).toEqual(want.map(([severity]) => severity));
  for (const [index, [, part]] of want.entries()) expect(findings[index]?.text).toContain(part);
});

test('INFO of Valkey gives its own version, not the Redis version that it is compatible with', () => {
  const info = [
    '# Server',
    'redis_version:7.2.4',
    'server_name:valkey',
    'valkey_version:9.1.2',
    'process_id:4711',
    'run_id:abc',
    'config_file:/data/redis.conf',
    '# Persistence',
    'loading:1',
    'aof_enabled:0',
    '# Memory',
    'maxmemory_policy:noeviction',
  ];
  expect(parseRedisInfo(info.join('\r\n'))).toEqual({
    flavour: 'valkey',
    version: '9.1.2',
    runId: 'abc',
    pid: 4711,
    configFile: '/data/redis.conf',
    isLoading: true,
    maxmemoryPolicy: 'noeviction',
    appendonly: false,
  });
});

test('INFO that hides everything gives undefined, never a guess', () => {
  expect(parseRedisInfo('')).toEqual({
    flavour: 'redis',
    version: undefined,
    runId: undefined,
    pid: undefined,
    configFile: undefined,
    isLoading: false,
    maxmemoryPolicy: undefined,
    appendonly: undefined,
  });
});

test.each([
  { version: '6.2', minimum: '6.2', want: true },
  { version: '6.10.1', minimum: '6.2', want: true },
  { version: '7', minimum: '6.2', want: true },
  { version: '6.1.9', minimum: '6.2', want: false },
  { version: '6', minimum: '6.2', want: false },
])('$version is at least $minimum: $want', ({ version, minimum, want }) => {
  expect(isAtLeast(version, minimum)).toBe(want);
});
