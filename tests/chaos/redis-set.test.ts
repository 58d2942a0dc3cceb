import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { RedisSet } from './support/redis-set.ts';

test('a primary that is killed behind a held replication is followed by its replica, without what that never heard', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-redis-set-'));
  const set = await RedisSet.start(folder);
  const client = new Redis(set.url, { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  onTestFinished(async () => {
    client.disconnect();
    await set.close();
    await rm(folder, { recursive: true, force: true });
  });
  await client.set('heard', 'yes');
  await client.wait(1, 5_000);
  await set.holdReplication();
  await client.set('unheard', 'yes');
  const { port, process } = set.primary;
  await process.kill();
  await set.untilOther(port);
  expect(await client.mget('heard', 'unheard')).toEqual(['yes', null]);
  expect(set.failovers).toBe(1);

  await set.untilWhole();
  expect(set.primary.port).not.toBe(port);
  expect(await client.set('after', 'yes')).toBe('OK');
});
