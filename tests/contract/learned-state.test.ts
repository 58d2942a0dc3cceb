import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { learnedStateRedis } from '../../src/autoscaler/adapters/board/learned-state-redis.ts';
import { learnedStateFile } from '../../src/autoscaler/adapters/learned-state-file.ts';
import type { LearnedStateStore } from '../../src/autoscaler/ports.ts';
import { type Leadership, soleLeadership } from '../../src/core/kubernetes.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

const led = (term: number | null): Leadership => ({
  ...soleLeadership,
  isLeader: () => term !== null,
  term: () => term,
});
const inRedis = (installation: string, term: number | null = 0): LearnedStateStore =>
  learnedStateRedis({
    client: redis.client,
    place: { keyPrefix: redis.prefix, installation },
    leadership: led(term),
  });

/** Opens the same store as often as it is called: a restart each. */
const adapters: Record<string, () => Promise<() => LearnedStateStore>> = {
  file: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
    cleanUps.push(() => rm(folder, { recursive: true, force: true }));
    return () => learnedStateFile(join(folder, 'deeper', 'learned.json'));
  },
  Redis: () => {
    const installation = randomUUID();
    return Promise.resolve(() => inRedis(installation));
  },
};

describe.each(Object.entries(adapters))('%s', (_name, make) => {
  test('before anything was saved there is nothing', async () => {
    const open = await make();
    expect(await open().load()).toBeNull();
  });

  test('what was saved last is there after a restart, whole', async () => {
    const open = await make();
    const state = { version: 1, boots: { 'hash "ü"': [{ atEpochMs: 1.5 }] }, pools: { 'ns/p': { slotUseRatio: 0.8 } } };
    await open().save({ version: 1, boots: { gone: [] }, pools: {} });
    await open().save(state);
    expect(await open().load()).toEqual(state);
  });
});

test('in Redis a leader of an older term cannot overwrite what a newer one saved', async () => {
  const installation = randomUUID();
  await inRedis(installation, 5).save({ by: 5 });
  await expect(inRedis(installation, 4).save({ by: 4 })).rejects.toThrow('later term than 4');
  expect(await inRedis(installation, 4).load()).toEqual({ by: 5 });
  await inRedis(installation, 6).save({ by: 6 });
  expect(await inRedis(installation, 4).load()).toEqual({ by: 6 });
});

test('in Redis who does not lead saves nothing', async () => {
  const installation = randomUUID();
  await expect(inRedis(installation, null).save({ by: 'nobody' })).rejects.toThrow('does not lead');
  expect(await inRedis(installation).load()).toBeNull();
});

test('in Redis the fence lapses, so that a Lease that was deleted and counts from zero is no dead end', async () => {
  const installation = randomUUID();
  await inRedis(installation, 5).save({ by: 5 });
  const fence = `${redis.prefix}:{${installation}}:learned:1:term`;
  expect(await redis.client.pttl(fence)).toBeGreaterThan(60_000);
  await redis.client.del(fence);
  await inRedis(installation, 1).save({ by: 1 });
  expect(await inRedis(installation).load()).toEqual({ by: 1 });
});

test('in Redis more than 8 MiB is refused and what was there stays; damage reads as nothing', async () => {
  const installation = randomUUID();
  await inRedis(installation).save({ small: true });
  await expect(inRedis(installation).save({ large: 'x'.repeat(9 * 1_024 * 1_024) })).rejects.toThrow(
    '9Mi is above 8Mi',
  );
  expect(await inRedis(installation).load()).toEqual({ small: true });
  await redis.client.set(`${redis.prefix}:{${installation}}:learned:1`, '{"half');
  expect(await inRedis(installation).load()).toBeNull();
});
