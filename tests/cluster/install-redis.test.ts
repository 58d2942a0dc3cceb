import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { serverEnvironment } from '../../src/platform/local-redis/binary.ts';
import { cacheFolders } from '../../src/platform/local-redis/cache-folders.ts';
import { findServer } from '../../src/platform/local-redis/find-server.ts';
import { inspectRedis } from '../../src/platform/redis/inspect.ts';
import { judgeRedis } from '../../src/platform/redis/judge.ts';
import { until } from '../support/until.ts';
import { LEAST_VALUES, useHelm } from './support/helm.ts';

const helm = useHelm();
const PASSWORD = 'only-for-this-test';

test('the bundled Redis keeps what is queued: a real server with its configuration refuses strangers and survives kill -9', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pilotlight-bundled-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const bundled = { enabled: true, password: PASSWORD };
  const objects = helm().objects({ ...LEAST_VALUES, redis: { bundled } });
  const { stringData } = objects.find(({ kind }) => kind === 'Secret') as unknown as { stringData: Secret };
  // Its volume is a folder of ours, its port a socket.
  expect(stringData['redis.conf']).toContain('\ndir /data\n');
  writeFileSync(join(folder, 'redis.conf'), stringData['redis.conf'].replace('dir /data', `dir ${folder}`));
  expect(stringData.url).toBe(`redis://:${PASSWORD}@pilotlight-redis.models:6379/0`);

  const first = await start(folder);
  const stranger = client(folder, { enableReadyCheck: false });
  await expect(stranger.get('queued')).rejects.toThrow('NOAUTH');
  const redis = client(folder, { password: PASSWORD });
  expect(judgeRedis(await inspectRedis(redis))).toEqual([]);
  // 60 % of the 1Gi that the container may use.
  expect(await redis.config('GET', 'maxmemory')).toEqual(['maxmemory', String(Math.floor((2 ** 30 * 6) / 10))]);
  expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  await redis.set('queued', 'work');
  await until(async () => (await redis.info('persistence')).includes('aof_pending_bio_fsync:0'), 'it is on the disk');
  redis.disconnect();
  first.kill('SIGKILL');
  await once(first, 'exit');
  rmSync(socketIn(folder));

  await start(folder);
  const again = client(folder, { password: PASSWORD });
  await until(async () => (await again.get('queued').catch(() => null)) === 'work', 'what was queued is back');
});

interface Secret {
  readonly 'redis.conf': string;
  readonly url: string;
}

/** The server with the chart's file, on a socket instead of the port. */
async function start(folder: string): Promise<ChildProcess> {
  const search = { previous: undefined, searchPath: process.env['PATH'] ?? '', onProgress: () => undefined };
  const found = await findServer({ ...search, caches: cacheFolders(folder, process.env) }, AbortSignal.timeout(60_000));
  if (found.kind === 'none') throw new Error(found.problems.join('; '));
  const { path, libraryFolders } = found.binary;
  const ours = ['--port', '0', '--unixsocket', socketIn(folder)];
  const child = spawn(path, [join(folder, 'redis.conf'), ...ours], {
    env: serverEnvironment(libraryFolders),
    stdio: 'ignore',
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  await until(() => existsSync(socketIn(folder)) || child.exitCode !== null, 'the server listens');
  expect(child.exitCode, 'it runs').toBeNull();
  return child;
}

function client(folder: string, options: { readonly password?: string; readonly enableReadyCheck?: boolean }): Redis {
  const redis = new Redis({ path: socketIn(folder), retryStrategy: () => 20, maxRetriesPerRequest: null, ...options });
  redis.on('error', () => undefined);
  onTestFinished(() => redis.disconnect());
  return redis;
}

function socketIn(folder: string): string {
  return join(folder, 'redis.sock');
}
