import { describe, expect, it, onTestFinished } from 'vitest';
import type { BatchView } from '../../../../src/core/batches.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { type Gateway, LifecycleWorld } from '../../../support/batch/lifecycle-world.ts';

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** A batch in progress on one gateway. */
async function running(world: LifecycleWorld, gateway: Gateway): Promise<BatchView> {
  const batch = await world.create(gateway);
  await world.untilStatus(batch.id, 'in_progress');
  await world.until(() => gateway.rows.supplied.length > 0, 'its rows are supplied');
  return batch;
}

function newWorld(settings: ConstructorParameters<typeof LifecycleWorld>[0] = {}): {
  world: LifecycleWorld;
  gateway: Gateway;
} {
  const world = new LifecycleWorld(settings);
  const gateway = world.gateway();
  onTestFinished(async () => {
    const stopped = gateway.stop();
    await world.clock.advance(1_000);
    await stopped;
  });
  return { world, gateway };
}

describe('the life of a batch', () => {
  it('goes from its creation to its files, and tells its end once', async () => {
    const { world, gateway } = newWorld();
    const { id, status } = await world.create(gateway);
    expect(status).toBe('validating');
    expect(world.cabinet.holds).toContain(`file-in ${id}`);
    await world.untilStatus(id, 'in_progress');
    await gateway.rows.end(id, ALL.slice(0, 8));
    await gateway.rows.end(id, [8, 9], { state: 'failed' });
    await world.untilSettled(id);

    const view = await world.view(gateway, id);
    expect(view).toMatchObject({
      status: 'completed',
      counts: { total: 10, completed: 8, failed: 2 },
      outputFileId: `file-out-${id}`,
      errorFileId: `file-err-${id}`,
      usage: { inputTokens: 20, outputTokens: 30 },
      progress: { phase: 'finished' },
    });
    expect(view.stamps.finalizingAtEpochMs).not.toBeNull();
    expect(world.notices.published).toMatchObject([{ type: 'batch.completed', tenant: 'acme', objectId: id }]);
    expect(world.cabinet.holds.size).toBe(0);
    await expect(world.states.totals(id)).rejects.toThrow('knows nothing');
    expect(gateway.batches.kept).toEqual([]);
  });

  it('fails with the errors of its file, and runs nothing', async () => {
    const { world, gateway } = newWorld();
    const errors = [{ code: 'invalid_json_line', message: 'no', param: null, line: 3 }];
    world.validation.errors = { kind: 'invalid', errors };
    const { id } = await world.create(gateway);
    await world.untilSettled(id);
    expect(await world.view(gateway, id)).toMatchObject({
      status: 'failed',
      errors,
      counts: { total: 0, completed: 0, failed: 0 },
      outputFileId: null,
    });
    expect(gateway.rows.supplied).toEqual([]);
    expect(world.notices.published.map(({ type }) => type)).toEqual(['batch.failed']);
  });

  it('counts rows that are wrong as failed from the start', async () => {
    const { world, gateway } = newWorld();
    world.validation.wrong = 3;
    const { id } = await running(world, gateway);
    expect((await world.view(gateway, id)).counts).toEqual({ total: 13, completed: 0, failed: 3 });
    await gateway.rows.end(id, ALL);
    await world.untilSettled(id);
    expect((await world.view(gateway, id)).counts).toEqual({ total: 13, completed: 10, failed: 3 });
  });

  it('expires at the end of its window: finished rows stay, the others are expired', async () => {
    const { world, gateway } = newWorld();
    const { id } = await world.create(gateway, { completionWindow: '1h' });
    await world.untilStatus(id, 'in_progress');
    await gateway.rows.end(id, [0, 1, 2, 3]);
    await world.clock.advance(3_600_000);
    await world.untilSettled(id);
    expect(await world.view(gateway, id)).toMatchObject({
      status: 'expired',
      counts: { total: 10, completed: 4, failed: 6 },
    });
    expect(world.finalise.files.get(`file-err-${id}`)).toContain('9 expired');
    expect(world.notices.published.map(({ type }) => type)).toEqual(['batch.expired']);
  });

  it('cancelled: rows that run may finish, the others never start', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    gateway.rows.runningRows = 2;
    await world.clock.advance(3_000);
    const cancelling = await gateway.batches.service.cancel(id, 'acme');
    expect(cancelling.status).toBe('cancelling');
    await world.until(async () => (await world.states.totals(id)).gate === 'closing', 'its gate is closing');
    await world.clock.advance(10_000);
    await gateway.rows.end(id, [0, 1]);
    gateway.rows.runningRows = 0;
    await world.clock.advance(10_000);
    await world.untilSettled(id);
    expect(gateway.rows.withdrawn).not.toEqual([]);
    expect(await world.view(gateway, id)).toMatchObject({
      status: 'cancelled',
      counts: { total: 10, completed: 2, failed: 8 },
    });
    expect((await gateway.batches.service.cancel(id, 'acme')).status).toBe('cancelled');
  });

  it('cancelled: rows that run longer than the grace are aborted', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    gateway.rows.runningRows = 2;
    await gateway.batches.service.cancel(id, 'acme');
    await world.clock.advance(50_000);
    expect(gateway.rows.aborted).toEqual([]);
    await world.untilSettled(id);
    expect(gateway.rows.aborted).toEqual([id]);
    expect((await world.view(gateway, id)).counts).toEqual({ total: 10, completed: 0, failed: 10 });
  });

  it('cancelled while it validates: the validation stops, there are no files', async () => {
    const { world, gateway } = newWorld();
    world.validation.gate = new Promise(() => undefined);
    const { id } = await world.create(gateway);
    await world.until(() => world.validation.inputs.length > 0, 'it validates');
    await gateway.batches.service.cancel(id, 'acme');
    await world.untilSettled(id);
    expect(await world.view(gateway, id)).toMatchObject({ status: 'cancelled', outputFileId: null, errorFileId: null });
  });

  it('pauses and resumes: the gate follows', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    const { service } = gateway.batches;
    const caller = (await world.stored(id)).identity;
    const paused = await service.change(id, caller, { kind: 'pause', reason: 'the budget is used up' });
    expect(paused.progress).toMatchObject({
      phase: 'paused',
      hold: { reason: 'paused', message: 'the budget is used up' },
    });
    await world.until(async () => (await world.states.totals(id)).gate === 'paused', 'its gate is closed');
    await service.change(id, caller, { kind: 'resume' });
    await world.until(async () => (await world.states.totals(id)).gate === 'open', 'its gate is open');
  });

  it('pauses by itself when its rows all fail alike', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    gateway.rows.fail(id, 'The last 100 rows failed with 404.');
    await world.until(async () => (await world.states.totals(id)).gate === 'paused', 'its gate is closed');
    expect((await world.view(gateway, id)).progress.hold).toMatchObject({
      reason: 'failing',
      message: 'The last 100 rows failed with 404.',
    });
    expect(gateway.meter.counts['paused failing']).toBe(1);
  });

  it('goes on under another objective: what waited under the old one is taken back first', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    const caller = (await world.stored(id)).identity;
    await gateway.batches.service.change(id, caller, { kind: 'objective', objective: 'nightly' });
    await world.until(() => gateway.rows.supplied.length > 1, 'it is supplied anew');
    expect(gateway.rows.withdrawn.map((doc) => doc.plan?.groups[0]?.objective)).toEqual(['batch']);
    expect(gateway.rows.supplied.at(-1)?.plan?.groups[0]?.objective).toBe('nightly');
  });

  it('validates again when its objective changes meanwhile', async () => {
    const { world, gateway } = newWorld();
    const release = Promise.withResolvers<undefined>();
    world.validation.gate = release.promise;
    const { id } = await world.create(gateway);
    await world.until(() => world.validation.inputs.length > 0, 'it validates');
    const caller = (await world.stored(id)).identity;
    await gateway.batches.service.change(id, caller, { kind: 'objective', objective: 'nightly' });
    release.resolve(undefined);
    await world.untilStatus(id, 'in_progress');
    expect(world.validation.inputs.at(-1)?.objective).toBe('nightly');
    expect((await world.stored(id)).plan?.groups[0]?.objective).toBe('nightly');
  });

  it('a tenant with too many rows gets none of these', async () => {
    const { world, gateway } = newWorld({ tenantRows: 15 });
    await running(world, gateway);
    const { id } = await world.create(gateway);
    await world.untilSettled(id);
    expect((await world.view(gateway, id)).errors).toMatchObject([{ code: 'batch_rows_full' }]);
  });

  it('waits for a store that is away, and fails when validation breaks for no passing reason', async () => {
    const { world, gateway } = newWorld();
    world.validation.fault = (call) => {
      if (call < 8) throw new PilotlightError('store_unavailable', 'away');
    };
    const waiting = await world.create(gateway);
    await world.untilStatus(waiting.id, 'in_progress');
    world.validation.fault = () => {
      throw new Error('the worker died');
    };
    const broken = await world.create(gateway);
    await world.untilSettled(broken.id);
    expect((await world.view(gateway, broken.id)).errors).toMatchObject([{ code: 'invalid_request' }]);
  });

  it('never publishes fewer rows than it has', async () => {
    const { world, gateway } = newWorld();
    const { id } = await running(world, gateway);
    world.finalise.missing = 1;
    await gateway.rows.end(id, ALL);
    await world.until(() => (gateway.meter.counts['short'] ?? 0) >= 4, 'it was found short');
    expect((await world.view(gateway, id)).status).toBe('finalizing');
    expect(world.notices.published).toEqual([]);
    world.finalise.missing = 0;
    await world.untilSettled(id);
    expect((await world.view(gateway, id)).counts).toEqual({ total: 10, completed: 10, failed: 0 });
  });
});
