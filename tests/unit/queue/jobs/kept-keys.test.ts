import { describe, expect, test } from 'vitest';
import { KEY_KEPT_MS, type KeyUse } from '../../../../src/core/idempotency.ts';
import { MemoryRequestKeys } from '../../../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { jobSpec, startProcess, TENANT, World } from '../../../support/stored-world.ts';

const BODY = new Uint8Array([123, 125]);
const USE: KeyUse = { tenant: TENANT, keyHash: 'key', requestHash: 'request' };
const BOUND = { keyHash: 'key', requestHash: 'request' };

/** What the keys of a Redis that lost everything say after the store was compared with it. */
async function restored(world: World): Promise<MemoryRequestKeys> {
  world.loseRedis();
  const keys = new MemoryRequestKeys(world.clock);
  await startProcess(world, { keys }).work.reconcile();
  return keys;
}

describe('after a loss of Redis', () => {
  test('a key stands for its job again, ended or not; jobs without one claim none', async () => {
    const world = new World();
    const { work } = startProcess(world);
    await work.jobs.submit(jobSpec('job_1', { acceptedAtEpochMs: world.clock.epochMs(), idempotency: BOUND }), BODY);
    await work.jobs.submit(jobSpec('job_2'), BODY);
    expect(await (await restored(world)).claimJob(USE, 'job_9')).toEqual({ kind: 'accepted', id: 'job_1' });
    await work.jobs.cancel('job_1', TENANT);
    expect(await (await restored(world)).claimJob(USE, 'job_9')).toEqual({ kind: 'accepted', id: 'job_1' });
  });

  test.each([
    { name: 'a day old', spec: { acceptedAtEpochMs: 1_700_000_000_000 - KEY_KEPT_MS } },
    { name: "an operator's second run of another", spec: { retryOf: 'job_0' } },
  ])('the key of a job that is $name is free', async ({ spec }) => {
    const world = new World();
    const { work } = startProcess(world);
    await work.jobs.submit(jobSpec('job_1', { idempotency: BOUND, ...spec }), BODY);
    expect(await (await restored(world)).claimJob(USE, 'job_9')).toMatchObject({ kind: 'mine', id: 'job_9' });
  });

  test('the key of a job that its owner deleted is free', async () => {
    const world = new World();
    const { work } = startProcess(world);
    await work.jobs.submit(jobSpec('job_1', { acceptedAtEpochMs: world.clock.epochMs(), idempotency: BOUND }), BODY);
    await work.jobs.delete('job_1', TENANT);
    expect(await (await restored(world)).claimJob(USE, 'job_9')).toMatchObject({ kind: 'mine', id: 'job_9' });
  });
});
