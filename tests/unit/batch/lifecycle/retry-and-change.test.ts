import { describe, expect, it, onTestFinished } from 'vitest';
import type { BatchChange } from '../../../../src/core/batches.ts';
import type { ErrorCode } from '../../../../src/core/errors.ts';
import { START_EPOCH_MS, TENANT } from '../../../support/batch/batch-doc.ts';
import { type Gateway, LifecycleWorld } from '../../../support/batch/lifecycle-world.ts';

function newWorld(): { world: LifecycleWorld; gateway: Gateway } {
  const world = new LifecycleWorld();
  const gateway = world.gateway();
  onTestFinished(async () => {
    const stopped = gateway.stop();
    await world.clock.advance(1_000);
    await stopped;
  });
  return { world, gateway };
}

/** A batch whose rows 2, 5 and 7 failed. */
async function endedBatch(world: LifecycleWorld, gateway: Gateway): Promise<string> {
  const { id } = await world.create(gateway);
  await world.untilStatus(id, 'in_progress');
  await gateway.rows.end(id, [7, 2, 5], { state: 'failed' });
  await gateway.rows.end(id, [0, 1, 3, 4, 6, 8, 9]);
  await world.untilSettled(id);
  return id;
}

describe('running the failed rows again', () => {
  it('is a new batch of just these rows, linked with the first', async () => {
    const { world, gateway } = newWorld();
    const first = await endedBatch(world, gateway);
    const retry = await gateway.batches.service.retryFailed(first, TENANT);
    expect(retry.progress.retryOf).toBe(first);
    expect((await world.view(gateway, first)).progress.retriedBy).toBe(retry.id);
    await world.untilStatus(retry.id, 'in_progress');
    expect((await world.stored(retry.id)).plan?.runnable).toBe(3);
    await gateway.rows.end(retry.id, [0, 1, 2]);
    await world.untilSettled(retry.id);
    expect(world.finalise.files.get(`file-out-${retry.id}`)).toEqual(['2 completed', '5 completed', '7 completed']);
  });

  it('asked twice, also at once, is one batch', async () => {
    const { world, gateway } = newWorld();
    const first = await endedBatch(world, gateway);
    const { service } = gateway.batches;
    const [one, two] = await Promise.all([service.retryFailed(first, TENANT), service.retryFailed(first, TENANT)]);
    expect(one.id).toBe(two.id);
    expect((await service.retryFailed(first, TENANT)).id).toBe(one.id);
  });

  it('is another batch when the one before did not validate', async () => {
    const { world, gateway } = newWorld();
    const first = await endedBatch(world, gateway);
    world.validation.errors = { kind: 'invalid', errors: [] };
    const failed = await gateway.batches.service.retryFailed(first, TENANT);
    await world.untilSettled(failed.id);
    world.validation.errors = null;
    const second = await gateway.batches.service.retryFailed(first, TENANT);
    expect(second.id).not.toBe(failed.id);
    await world.untilStatus(second.id, 'in_progress');
    expect((await world.view(gateway, first)).progress.retriedBy).toBe(second.id);
  });

  it('waits for the end, and needs rows that failed', async () => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway);
    const { service } = gateway.batches;
    await expect(service.retryFailed(id, TENANT)).rejects.toMatchObject({ code: 'batch_not_finished' });
    await world.untilStatus(id, 'in_progress');
    await gateway.rows.end(id, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await world.untilSettled(id);
    await expect(service.retryFailed(id, TENANT)).rejects.toMatchObject({ code: 'nothing_to_retry' });
  });
});

describe('changing a batch', () => {
  const CHANGES: BatchChange[] = [
    { kind: 'pause', reason: null },
    { kind: 'resume' },
    { kind: 'objective', objective: 'nightly' },
    { kind: 'extend', expiresAtEpochMs: START_EPOCH_MS + 48 * 3_600_000 },
  ];

  it.each(CHANGES)('$kind is refused once it has ended', async (change) => {
    const { world, gateway } = newWorld();
    const id = await endedBatch(world, gateway);
    await expect(gateway.batches.service.change(id, TENANT, change)).rejects.toMatchObject({
      code: 'batch_already_finished',
    });
    await expect(gateway.batches.service.cancel(id, 'acme')).rejects.toMatchObject({
      code: 'batch_already_finished',
      message: "Cannot cancel a batch with status 'completed'.",
    });
  });

  it.each(CHANGES)('$kind twice is as good as once', async (change) => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway);
    await world.untilStatus(id, 'in_progress');
    await gateway.batches.service.change(id, TENANT, change);
    const { generation } = await world.stored(id);
    await gateway.batches.service.change(id, TENANT, change);
    expect((await world.stored(id)).generation).toBe(generation);
  });

  const refused: [BatchChange, ErrorCode][] = [
    [{ kind: 'objective', objective: 'none' }, 'unknown_objective'],
    [{ kind: 'extend', expiresAtEpochMs: START_EPOCH_MS }, 'invalid_value'],
    [{ kind: 'extend', expiresAtEpochMs: START_EPOCH_MS + 400 * 24 * 3_600_000 }, 'invalid_value'],
    [{ kind: 'extend', expiresAtEpochMs: Number.NaN }, 'invalid_value'],
  ];
  it.each(refused)('%j is refused', async (change, code) => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway);
    await expect(gateway.batches.service.change(id, TENANT, change)).rejects.toMatchObject({ code });
  });

  it('a window that is extended ends later', async () => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway, { completionWindow: '1h' });
    await world.untilStatus(id, 'in_progress');
    const later = START_EPOCH_MS + 3 * 3_600_000;
    await gateway.batches.service.change(id, TENANT, { kind: 'extend', expiresAtEpochMs: later });
    await world.clock.advance(2 * 3_600_000);
    expect((await world.stored(id)).status).toBe('in_progress');
    await world.clock.advance(3_600_000);
    await world.untilEnded(id);
    expect((await world.stored(id)).status).toBe('expired');
  });

  it('of another tenant is not found', async () => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway);
    const other = { ...TENANT, tenant: 'other' };
    await expect(gateway.batches.service.change(id, other, { kind: 'resume' })).rejects.toMatchObject({
      code: 'batch_not_found',
    });
  });
});

describe('retention', () => {
  it('removes everything of a batch when its files have expired, and not before', async () => {
    const { world, gateway } = newWorld();
    const id = await endedBatch(world, gateway);
    await world.clock.advance(2 * 3_600_000);
    expect((await world.view(gateway, id)).status).toBe('completed');
    world.clock.freeze(30 * 24 * 3_600_000);
    await world.clock.advance(2 * 3_600_000);
    expect(world.blobs.keys).toEqual([]);
    await expect(world.view(gateway, id)).rejects.toMatchObject({ code: 'batch_not_found' });
  });
});
