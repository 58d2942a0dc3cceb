import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkRedisAt } from '../../../src/cli/doctor/redis.ts';
import { MASTER_NAME, openServers, startSentinels, type TestServers } from '../../support/redis-cluster.ts';

const PASSWORD = 'p4ss-of-the-queue';

let servers: TestServers;
beforeAll(async () => {
  servers = await openServers();
});
afterAll(() => servers.close());

const look = (environment: Record<string, string>) =>
  checkRedisAt({ files: [], flags: [], environment }, AbortSignal.timeout(20_000));

test('doctor looks at whatever Redis the settings name, as a start does', async () => {
  expect(await look({})).toEqual([]);
  const { addresses, sentinels } = await startSentinels(servers, { downAfterMs: 5_000, password: PASSWORD });
  const settings = {
    PILOTLIGHT_REDIS_SENTINEL_NODES: JSON.stringify(addresses),
    PILOTLIGHT_REDIS_SENTINEL_MASTER_NAME: MASTER_NAME,
    PILOTLIGHT_REDIS_SENTINEL_PASSWORD: `${PASSWORD}-watch`,
    PILOTLIGHT_REDIS_PASSWORD: PASSWORD,
  };
  const [found, ...more] = await look(settings);
  expect(found).toMatchObject({ level: 'warn' });
  expect(JSON.stringify(found)).toContain('min-replicas-to-write 1');
  expect(more).toEqual([]);

  const asSingle = await look({ PILOTLIGHT_REDIS_URL: `redis://:${PASSWORD}-watch@127.0.0.1:${sentinels[0]?.port}` });
  expect(JSON.stringify(asSingle)).toContain('redis.sentinel.nodes');
  expect(asSingle[0]?.level).toBe('fail');
  const denied = await look({ ...settings, PILOTLIGHT_REDIS_PASSWORD: 'another' });
  expect(denied.map(({ level }) => level)).toEqual(['fail']);
  expect(JSON.stringify(denied)).not.toContain(PASSWORD);
});

test('all mistakes in the settings of Redis are told, each with its name', async () => {
  const findings = await look({
    PILOTLIGHT_REDIS_URL: 'http://127.0.0.1',
    PILOTLIGHT_REDIS_SENTINEL_NODES: '["nowhere"]',
    PILOTLIGHT_REDIS_TLS_ENABLED: 'perhaps',
  });
  expect(findings.map(({ level }) => level)).toEqual(['fail', 'fail', 'fail']);
  const text = JSON.stringify(findings);
  for (const name of ['redis.url', 'redis.sentinel.nodes', 'redis.tls.enabled']) expect(text).toContain(name);
});
