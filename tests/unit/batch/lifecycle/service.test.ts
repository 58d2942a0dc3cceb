import { describe, expect, it } from 'vitest';
import type { BatchRequest, BatchView } from '../../../../src/core/batches.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import { START_EPOCH_MS, storedFile, TENANT, WISHES } from '../../../support/batch/batch-doc.ts';
import { LifecycleWorld } from '../../../support/batch/lifecycle-world.ts';

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

async function refusal(call: Promise<unknown>): Promise<{ code: string; param: string | null; message: string }> {
  const error = await call.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PilotlightError)) throw error;
  return { code: error.code, param: error.param, message: error.message };
}

describe('creating a batch', () => {
  const wrong: [string, Partial<BatchRequest>, string, string][] = [
    ['an endpoint that batches have not', { endpoint: '/v1/moderations' }, 'invalid_value', 'endpoint'],
    ['a window that is not offered', { completionWindow: '48h' }, 'invalid_value', 'completion_window'],
    ['a file that there is not', { inputFileId: 'file-none' }, 'file_not_found', 'input_file_id'],
    ['the file of another tenant', { inputFileId: 'file-other' }, 'file_not_found', 'input_file_id'],
    ['a file of another purpose', { inputFileId: 'file-vision' }, 'invalid_value', 'input_file_id'],
    ['a file that is too large', { inputFileId: 'file-large' }, 'file_too_large', 'input_file_id'],
    ['an unknown objective', { wishes: { ...WISHES, objective: 'none' } }, 'unknown_objective', 'objective'],
    ['seventeen pairs of metadata', { metadata: manyPairs(17) }, 'invalid_value', 'metadata'],
    ['a long key in metadata', { metadata: { ['k'.repeat(65)]: 'v' } }, 'invalid_value', 'metadata'],
    ['a long value in metadata', { metadata: { k: 'v'.repeat(513) } }, 'invalid_value', 'metadata'],
    ['a number in metadata', { metadata: { k: 1 as unknown as string } }, 'invalid_type', 'metadata'],
    ['outputs kept for a minute', { outputExpiresAfterMs: 60_000 }, 'invalid_value', 'output_expires_after.seconds'],
    ['21 tries', { wishes: { ...WISHES, maxAttempts: 21 } }, 'invalid_value', 'pilotlight.max_attempts'],
    [
      'a deadline in the past',
      { wishes: { ...WISHES, deadlineEpochMs: START_EPOCH_MS - 1 } },
      'invalid_value',
      'pilotlight.deadline',
    ],
    [
      'a deadline after the window',
      { wishes: { ...WISHES, deadlineEpochMs: START_EPOCH_MS + 25 * 3_600_000 } },
      'invalid_value',
      'pilotlight.deadline',
    ],
  ];

  it.each(wrong)('refuses %s, naming the field', async (_what, changes, code, param) => {
    const world = new LifecycleWorld();
    world.cabinet.files.set('file-other', storedFile({ id: 'file-other', tenant: 'other' }));
    world.cabinet.files.set('file-vision', storedFile({ id: 'file-vision', purpose: 'vision' }));
    world.cabinet.files.set('file-large', storedFile({ id: 'file-large', bytes: 1_000_001 }));
    const gateway = world.gateway({ keeps: false });
    expect(await refusal(world.create(gateway, changes))).toMatchObject({ code, param });
    expect(world.blobs.keys).toEqual([]);
  });

  it('takes metadata of the largest size that is allowed', async () => {
    const world = new LifecycleWorld();
    const metadata = { ...manyPairs(15), ['k'.repeat(64)]: 'v'.repeat(512) };
    expect((await world.create(world.gateway({ keeps: false }), { metadata })).metadata).toEqual(metadata);
  });

  it('refuses more unfinished batches than a tenant may have', async () => {
    const world = new LifecycleWorld({ tenantBatches: 2 });
    const gateway = world.gateway({ keeps: false });
    await world.create(gateway);
    await world.create(gateway);
    expect((await refusal(world.create(gateway))).code).toBe('batches_full');
  });

  it('refuses more than a tenant may have of those that are made at the same moment, too', async () => {
    const world = new LifecycleWorld({ tenantBatches: 2 });
    const gateway = world.gateway({ keeps: false });
    const made = await Promise.allSettled(Array.from({ length: 6 }, () => world.create(gateway)));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  });

  it('has the default objective of the settings, unless this tenant may not use it', async () => {
    const world = new LifecycleWorld({ objective: 'nightly' });
    const gateway = world.gateway({ keeps: false });
    expect((await world.create(gateway)).progress.objective).toBe('nightly');
    world.objectives = ['batch'];
    expect((await world.create(gateway)).progress.objective).toBeNull();
  });
});

describe('creating the same batch again', () => {
  const cases: [string, BatchRequest['repetition'][], number][] = [
    ['two calls without a key', [of(null, 'a', 0), of(null, 'a', 0)], 2],
    ['the retry of an SDK', [of(null, 'a', 0), of(null, 'a', 1)], 1],
    ['two retries whose first call never arrived', [of(null, 'a', 1), of(null, 'a', 2)], 1],
    ['a retry that overtakes its first call', [of(null, 'a', 1), of(null, 'a', 0)], 1],
    ['a retry of another body', [of(null, 'a', 0), of(null, 'b', 1)], 2],
    ['the same key and body', [of('k', 'a', 0), of('k', 'a', 0)], 1],
    ['two keys', [of('k', 'a', 0), of('l', 'a', 0)], 2],
  ];

  it.each(cases)('%s', async (_what, repetitions, batches) => {
    const world = new LifecycleWorld();
    const gateways = [world.gateway({ keeps: false }), world.gateway({ keeps: false })];
    const made: BatchView[] = [];
    for (const [index, repetition] of repetitions.entries()) {
      made.push(await world.create(gateways[index % 2] ?? world.gateway(), { repetition }));
    }
    expect(new Set(made.map(({ id }) => id)).size).toBe(batches);
  });

  it('at once on two gateways with one key: one batch', async () => {
    const world = new LifecycleWorld();
    const calls = [1, 2, 3, 4].map(() =>
      world.create(world.gateway({ keeps: false }), { repetition: of('k', 'a', 0) }),
    );
    expect(new Set((await Promise.all(calls)).map(({ id }) => id)).size).toBe(1);
    expect(world.blobs.keys).toHaveLength(1);
  });

  it('with a key and another body is a conflict', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    await world.create(gateway, { repetition: of('k', 'a', 0) });
    expect((await refusal(world.create(gateway, { repetition: of('k', 'b', 0) }))).code).toBe('idempotency_conflict');
  });

  it('with a key still answers when its file is gone, and knows nothing after a day', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    const { id } = await world.create(gateway, { repetition: of('k', 'a', 0) });
    world.cabinet.files.clear();
    expect((await world.create(gateway, { repetition: of('k', 'a', 0) })).id).toBe(id);
    world.clock.freeze(25 * 3_600_000);
    expect((await refusal(world.create(gateway, { repetition: of('k', 'a', 0) }))).code).toBe('file_not_found');
  });

  it('after a refusal is a new call: the key is not used up', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    await refusal(world.create(gateway, { inputFileId: 'file-none', repetition: of('k', 'a', 0) }));
    expect((await world.create(gateway, { repetition: of('k', 'b', 0) })).status).toBe('validating');
  });
});

describe('looking at batches', () => {
  it('pages through the list, newest first, and filters by status', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    const { service } = gateway.batches;
    const ids: string[] = [];
    for (let batch = 0; batch < 5; batch += 1) {
      world.clock.freeze(10);
      ids.unshift((await world.create(gateway)).id);
    }
    await service.cancel(ids[1] ?? '', 'acme');
    const first = await service.list('acme', { after: null, limit: 2, status: null });
    expect({ ids: first.items.map(({ id }) => id), hasMore: first.hasMore }).toEqual({
      ids: ids.slice(0, 2),
      hasMore: true,
    });
    const rest = await service.list('acme', { after: ids[1] ?? '', limit: 3, status: null });
    expect({ ids: rest.items.map(({ id }) => id), hasMore: rest.hasMore }).toEqual({
      ids: ids.slice(2),
      hasMore: false,
    });
    const cancelling = await service.list('acme', { after: null, limit: 20, status: 'cancelling' });
    expect(cancelling.items.map(({ id }) => id)).toEqual([ids[1]]);
    expect((await service.list('other', { after: null, limit: 20, status: null })).items).toEqual([]);
    expect(await refusal(service.list('acme', { after: 'batch_none', limit: 20, status: null }))).toMatchObject({
      code: 'invalid_value',
      param: 'after',
    });
  });

  it("answers another tenant's id and one that there is not alike", async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway({ keeps: false });
    const { id } = await world.create(gateway);
    const foreign = await refusal(gateway.batches.service.get(id, 'other'));
    const unknown = await refusal(gateway.batches.service.get('batch_none', 'acme'));
    expect(foreign.code).toBe('batch_not_found');
    expect(foreign.message.replace(id, 'X')).toBe(unknown.message.replace('batch_none', 'X'));
    expect((await refusal(gateway.batches.service.get('../../etc', 'acme'))).code).toBe('batch_not_found');
  });

  it('says why nothing runs, and how fast it goes when something does', async () => {
    const world = new LifecycleWorld();
    world.poolState = { kind: 'waking', message: 'a replica is loading the model' };
    const gateway = world.gateway();
    const { id } = await world.create(gateway);
    await world.untilStatus(id, 'in_progress');
    await world.clock.advance(2_000);
    expect((await world.view(gateway, id)).progress.hold).toEqual({
      reason: 'scaling_from_zero',
      message: "Pool 'default/chat': a replica is loading the model",
    });
    world.poolState = { kind: 'serving', message: 'it serves' };
    gateway.rows.runningRows = 2;
    for (const place of [0, 1, 2, 3]) {
      await gateway.rows.end(id, [place]);
      await world.clock.advance(1_000);
    }
    const { counts, progress } = await world.view(gateway, id);
    expect(counts.completed).toBe(4);
    expect(progress).toMatchObject({ phase: 'running', hold: null, rowsRunning: 2 });
    expect(progress.rowsPerSecond).toBeGreaterThan(0);
    expect(progress.etaMs).toBeGreaterThan(0);
    const stopped = gateway.stop();
    await world.clock.advance(1_000);
    await stopped;
  });

  it('watches: the present, each change, the end', async () => {
    const world = new LifecycleWorld();
    const gateway = world.gateway();
    const { id } = await world.create(gateway);
    const seen: string[] = [];
    const watching = (async () => {
      for await (const view of gateway.batches.service.watch(id, 'acme', AbortSignal.timeout(20_000))) {
        seen.push(`${view.status} ${view.counts.completed}`);
      }
    })();
    await world.untilStatus(id, 'in_progress');
    await world.clock.advance(2_000);
    await gateway.rows.end(id, ALL.slice(0, 5));
    await world.clock.advance(3_000);
    await gateway.rows.end(id, ALL.slice(5));
    await world.untilSettled(id);
    await world.clock.advance(2_000);
    await watching;
    expect(seen[0]).toBe('validating 0');
    expect(seen).toContain('in_progress 5');
    expect(seen.at(-1)).toBe('completed 10');
    const stopped = gateway.stop();
    await world.clock.advance(1_000);
    await stopped;
  });

  it('a dry run validates, tells what it would take, and keeps nothing', async () => {
    const world = new LifecycleWorld();
    const { service } = world.gateway({ keeps: false }).batches;
    const request = { identity: TENANT, inputFileId: 'file-in', endpoint: '/v1/chat/completions' } as const;
    const run = await service.dryRun(
      {
        ...request,
        completionWindow: '24h',
        metadata: null,
        outputExpiresAfterMs: null,
        wishes: { ...WISHES, deadlineEpochMs: START_EPOCH_MS + 30_000 },
        repetition: of(null, 'a', 0),
      },
      AbortSignal.timeout(5_000),
    );
    expect(run).toMatchObject({ kind: 'valid', estimate: { rows: 10, etaMs: 60_000, meetsDeadline: false } });
    expect(world.blobs.keys).toEqual([]);
  });
});

function of(key: string | null, bodyHash: string, sdkRetry: number): BatchRequest['repetition'] {
  return { key, bodyHash, sdkRetry };
}

function manyPairs(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 'value']));
}
