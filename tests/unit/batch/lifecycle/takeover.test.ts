import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { begunFilesPrefix } from '../../../../src/batch/policy/finalise/output-files.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { storedFile } from '../../../support/batch/batch-doc.ts';
import { FakeRowWork } from '../../../support/batch/fake-parts.ts';
import { type Gateway, LifecycleWorld } from '../../../support/batch/lifecycle-world.ts';

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

function gatewayOf(world: LifecycleWorld): Gateway {
  const gateway = world.gateway();
  onTestFinished(async () => {
    const stopped = gateway.stop();
    await world.clock.advance(1_000);
    await stopped;
  });
  return gateway;
}

describe('a keeper that is killed', () => {
  it('in mid-validation: another one validates again', async () => {
    const world = new LifecycleWorld();
    const first = world.gateway();
    world.validation.gate = new Promise(() => undefined);
    const { id } = await world.create(first);
    await world.until(() => world.validation.inputs.length > 0, 'it validates');
    first.kill();
    world.validation.gate = Promise.resolve();
    gatewayOf(world);
    await world.untilStatus(id, 'in_progress');
    expect(world.validation.inputs.length).toBe(2);
  });

  it('while rows run: results that were synced and not committed count', async () => {
    const world = new LifecycleWorld();
    const first = world.gateway();
    const { id } = await world.create(first);
    await world.untilStatus(id, 'in_progress');
    await first.rows.end(id, [0, 1]);
    await first.rows.end(id, [2, 3], { isUncommitted: true });
    first.kill();
    const second = gatewayOf(world);
    await world.until(async () => (await world.states.totals(id)).completed === 4, 'the records count');
    expect(second.meter.counts['taken over']).toBe(1);
    await second.rows.end(id, [4, 5, 6, 7, 8, 9]);
    await world.untilSettled(id);
    expect((await world.view(second, id)).counts).toEqual({ total: 10, completed: 10, failed: 0 });
  });

  it('in mid-finalise: another one assembles the files, and the end is told', async () => {
    const world = new LifecycleWorld();
    const first = world.gateway();
    const { id } = await world.create(first);
    await world.untilStatus(id, 'in_progress');
    world.finalise.gate = new Promise(() => undefined);
    await first.rows.end(id, ALL);
    await world.until(() => world.finalise.calls > 0, 'it is being finalised');
    first.kill();
    world.finalise.gate = Promise.resolve();
    const second = gatewayOf(world);
    await world.untilSettled(id);
    expect((await world.view(second, id)).status).toBe('completed');
    expect(world.notices.published).toHaveLength(1);
  });

  it('at any call of a whole life: the batch ends complete, and is told under one id', async () => {
    let deaths = 0;
    for (let diesAtCall = 0.5; ; diesAtCall += 0.5) {
      const world = new LifecycleWorld();
      const { id } = await world.create(world.gateway({ keeps: false }));
      const first = world.gateway({ diesAtCall });
      let second: Gateway | null = null;
      await world.until(async () => {
        if (first.isDead) second ??= gatewayOf(world);
        const totals = await world.states.totals(id).catch(() => null);
        if (totals?.gate === 'open' && totals.pending > 0) await endRows(world, id);
        return (await world.stored(id)).settled === true;
      }, `it is settled although its keeper dies at call ${diesAtCall}`);
      const { status, final } = await world.stored(id);
      expect({ status, counts: final?.counts }).toEqual({
        status: 'completed',
        counts: { total: 10, completed: 10, failed: 0 },
      });
      expect(new Set(world.notices.published.map((notice) => notice.id)).size).toBe(1);
      expect(world.cabinet.holds.size).toBe(0);
      await world.until(async () => (await world.index.live()).length === 0, 'nobody has to keep it');
      if (!first.isDead) break;
      deaths += 1;
    }
    expect(deaths).toBeGreaterThan(40);
  });
});

/** As a gateway that is not killed runs them. */
async function endRows(world: LifecycleWorld, id: string): Promise<void> {
  await new FakeRowWork(world.states, world.records).end(id, ALL);
}

describe('several keepers', () => {
  it('share the batches, and one that joins gets its share', async () => {
    const world = new LifecycleWorld({ tenantBatches: 100 });
    const first = gatewayOf(world);
    for (let batch = 0; batch < 8; batch += 1) await world.create(first);
    await world.until(() => first.batches.kept.length === 8, 'one keeps all');
    const second = gatewayOf(world);
    await world.until(() => second.batches.kept.length >= 3, 'the other has some');
    await world.until(() => first.batches.kept.length + second.batches.kept.length === 8, 'all are kept');
    expect(second.meter.counts['taken over']).toBeUndefined();
  });

  it('that both believe to keep a batch do no harm', async () => {
    const world = new LifecycleWorld();
    const first = gatewayOf(world);
    const { id } = await world.create(first);
    await world.untilStatus(id, 'in_progress');
    // Its lease is somebody else's before it notices.
    world.leases.lose();
    const second = gatewayOf(world);
    await world.until(() => second.batches.kept.includes(id) || first.batches.kept.includes(id), 'somebody keeps it');
    await first.rows.end(id, ALL);
    await world.untilSettled(id);
    expect(await world.stored(id)).toMatchObject({ status: 'completed', final: { counts: { completed: 10 } } });
    expect(new Set(world.notices.published.map((notice) => notice.id)).size).toBe(1);
  });

  it('that stop in order leave nothing to repair', async () => {
    const world = new LifecycleWorld();
    const first = world.gateway();
    const { id } = await world.create(first);
    await world.untilStatus(id, 'in_progress');
    const stopped = first.stop();
    await world.clock.advance(1_000);
    await stopped;
    const second = gatewayOf(world);
    await world.until(() => second.batches.kept.includes(id), 'the other keeps it');
    await world.until(() => second.rows.supplied.length > 0, 'its rows are supplied');
    expect(second.rows.recoveries).toBe(0);
  });
});

describe('a change that its keeper is not told of', () => {
  it('is found all the same: a cancel, although its hint was lost', async () => {
    const world = new LifecycleWorld();
    const keeper = gatewayOf(world);
    const { id } = await world.create(keeper);
    await world.untilStatus(id, 'in_progress');
    world.hints.publish = () => undefined;
    await world.gateway({ keeps: false }).batches.service.cancel(id, 'acme');
    await world.untilSettled(id);
    expect(await world.stored(id)).toMatchObject({ status: 'cancelled', final: { counts: { failed: 10 } } });
  });

  it('is found all the same: a cancel that Redis has lost, with its hint', async () => {
    const world = new LifecycleWorld();
    const keeper = gatewayOf(world);
    const { id } = await world.create(keeper);
    await world.untilStatus(id, 'in_progress');
    world.hints.publish = () => undefined;
    const put = world.index.put.bind(world.index);
    world.index.put = () => Promise.resolve();
    await world.gateway({ keeps: false }).batches.service.cancel(id, 'acme');
    world.index.put = put;
    keeper.batches.redisLost();
    await world.untilSettled(id);
    expect(await world.stored(id)).toMatchObject({ status: 'cancelled', final: { counts: { failed: 10 } } });
  });
});

describe('ending rows in steps', () => {
  it('goes on where it was interrupted', async () => {
    const world = new LifecycleWorld();
    const first = world.gateway();
    const { id } = await world.create(first);
    await world.untilStatus(id, 'in_progress');
    const closePending = world.states.closePending.bind(world.states);
    world.states.closePending = async (batchId) => {
      // The first of its steps closes the gate.
      await world.states.setGate(batchId, 'closed');
      world.states.closePending = closePending;
      first.kill();
      throw new Error('nobody hears of this');
    };
    await first.batches.service.cancel(id, 'acme');
    await world.until(() => first.isDead, 'it died');
    gatewayOf(world);
    await world.untilSettled(id);
    expect(await world.stored(id)).toMatchObject({ status: 'cancelled', final: { counts: { failed: 10 } } });
  });
});

describe('a store that fails a third of its calls, after its own repetitions', () => {
  it.each([1, 2, 3, 4, 5])('delays a batch and does it no other harm (seed %i)', async (seed) => {
    const world = new LifecycleWorld();
    const first = gatewayOf(world);
    const second = gatewayOf(world);
    const { id } = await world.create(first);
    const random = seededRandom(seed);
    world.blobs.fault = () => {
      if (random.next() < 0.33) throw new PilotlightError('store_unavailable', 'away');
    };
    await world.until(async () => {
      const totals = await world.states.totals(id).catch(() => null);
      if (totals?.gate === 'open' && totals.pending > 0) await endRows(world, id);
      return (await world.stored(id)).settled === true;
    }, 'it is settled');
    expect(await world.stored(id)).toMatchObject({ status: 'completed', final: { counts: { completed: 10 } } });
    expect(new Set(world.notices.published.map((notice) => notice.id)).size).toBe(1);
    expect([first, second].map(({ meter }) => meter.counts['short'] ?? 0)).toEqual([0, 0]);
  });
});

describe('Redis lost', () => {
  it('in mid-run: states are made of the records, and no row is lost or run twice', async () => {
    const world = new LifecycleWorld();
    const gateway = gatewayOf(world);
    const { id } = await world.create(gateway);
    await world.untilStatus(id, 'in_progress');
    await gateway.rows.end(id, [0, 1, 2]);
    world.loseRedis();
    gateway.batches.redisLost();
    await world.until(async () => (await world.states.totals(id).catch(() => null))?.completed === 3, 'rows are back');
    await world.until(async () => (await world.states.totals(id)).gate === 'open', 'its gate is open');
    await gateway.rows.end(id, [3, 4, 5, 6, 7, 8, 9]);
    await world.untilSettled(id);
    expect((await world.view(gateway, id)).counts).toEqual({ total: 10, completed: 10, failed: 0 });
  });

  it('while its files are assembled: files of another outcome are removed when it has ended', async () => {
    const world = new LifecycleWorld();
    const gateway = gatewayOf(world);
    const { id } = await world.create(gateway);
    await world.untilStatus(id, 'in_progress');
    for (const name of ['file-other', `file-out-${id}`]) {
      world.cabinet.files.set(name, storedFile({ id: name }));
      await world.blobs.put(`${begunFilesPrefix(id)}${name}`, Readable.from([]));
    }
    await gateway.rows.end(id, ALL);
    await world.untilSettled(id);
    expect([...world.cabinet.files.keys()]).toEqual(['file-in', `file-out-${id}`]);
  });

  it('lists what the store has, once it has been read again', async () => {
    const world = new LifecycleWorld();
    const gateway = gatewayOf(world);
    const made = [await world.create(gateway), await world.create(gateway)];
    world.loseRedis();
    const page = { after: null, limit: 20, status: null };
    const { items } = await gateway.batches.service.list('acme', page);
    expect(items.map(({ id }) => id).sort()).toEqual(made.map(({ id }) => id).sort());
  });

  it('still knows a repetition of a call with a key', async () => {
    const world = new LifecycleWorld();
    const gateway = gatewayOf(world);
    const repetition = { key: 'once', bodyHash: 'h', sdkRetry: 0 };
    const { id } = await world.create(gateway, { repetition });
    world.loseRedis();
    expect(await gateway.batches.reconcile(AbortSignal.timeout(5_000))).toMatchObject({ batches: 1, repaired: 1 });
    expect((await world.create(gateway, { repetition })).id).toBe(id);
  });

  it('still knows a repetition of a call that comes before anybody has noticed', async () => {
    const world = new LifecycleWorld();
    const gateway = gatewayOf(world);
    const repetition = { key: 'once', bodyHash: 'h', sdkRetry: 0 };
    const { id } = await world.create(gateway, { repetition });
    world.loseRedis();
    expect((await world.create(gateway, { repetition })).id).toBe(id);
  });

  it('while it is reconciled: what it was told before the loss is told again', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    const { id } = await world.create(gateway);
    const markComplete = world.index.markComplete.bind(world.index);
    let second: Promise<unknown> | null = null;
    world.index.markComplete = () => {
      if (second === null) {
        world.loseRedis();
        second = gateway.batches.reconcile(AbortSignal.timeout(5_000));
      }
      return markComplete();
    };
    await gateway.batches.reconcile(AbortSignal.timeout(5_000));
    expect(await world.index.read(id)).toMatchObject({ id });
  });
});
