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
