import { describe, expect, test } from 'vitest';
import type { SubmitAnswer } from '../../../../src/core/jobs.ts';
import type { Execute } from '../../../../src/queue/jobs/ports.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { FakeOrder, liveTicket } from '../../../support/fake-order.ts';
import { jobSpec, POOL, type ProcessOptions, startProcess, TENANT, World } from '../../../support/stored-world.ts';

const BODY = Buffer.from('{"model":"chat"}');

async function open(options: ProcessOptions & { window?: number } = {}) {
  const world = new World();
  const process = startProcess(world, options);
  process.work.start();
  await world.clock.advance(10);
  if (options.window !== undefined) world.ledger.setWindows({ nightly: options.window });
  const { jobs } = process.work;
  const pass = async (byMs: number): Promise<void> => {
    await world.clock.advance(byMs);
    await settleMicrotasks();
  };
  return { world, jobs, pass, ...process };
}

function errorOf(answer: SubmitAnswer): { code: string; message: string; retryAfterMs: number | null } {
  if (answer.kind !== 'rejected') throw new Error('it was accepted');
  return answer.error;
}

const kinds = (world: World): string[] => world.records.map(({ header }) => header.kind);

/** Runs until told to answer, or until it is aborted. */
function heldExecution({ hasSlot = true } = {}): { execute: Execute; aborted: Error[]; finish: () => void } {
  const aborted: Error[] = [];
  const finishers: (() => void)[] = [];
  return {
    aborted,
    finish: () => finishers.splice(0).forEach((finish) => finish()),
    execute: (run, signal) =>
      new Promise((resolve) => {
        if (hasSlot) run.onSlot();
        finishers.push(() => resolve({ kind: 'handed_back', reason: 'test' }));
        signal.addEventListener('abort', () => {
          aborted.push(signal.reason as Error);
          resolve({ kind: 'handed_back', reason: 'aborted' });
        });
      }),
  };
}

describe('submit', () => {
  test('an accepted job has its record, its place in the backlog and its demand before the answer', async () => {
    const { world, jobs } = await open();
    const answer = await jobs.submit(jobSpec('job-a'), BODY);
    expect(answer).toMatchObject({ kind: 'accepted', view: { status: 'queued', outcome: null } });
    expect(kinds(world)).toEqual(['accept']);
    expect([...world.items.keys()]).toEqual(['job-a']);
    expect(world.ledger.entries.get('job-a')).toMatchObject({ isConfirmed: true });
  });

  test('a full pool rejects with the limit by name and a measured Retry-After, and nothing is written', async () => {
    const { world, jobs } = await open();
    world.ledger.maxRequests = 0;
    const error = errorOf(await jobs.submit(jobSpec('job-a'), BODY));
    expect(error).toMatchObject({ code: 'queue_full', retryAfterMs: 1_500 });
    expect(error.message).toContain('maxRequests 0');
    expect(kinds(world)).toEqual([]);
  });

  test('what is submitted again under its id takes nothing back: neither its own record nor the job that is there', async () => {
    const { jobs, world, backlog } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    backlog.answer = { kind: 'refused', why: 'READONLY' };
    const again = await jobs.submit(jobSpec('job-a'), BODY, { isRepeated: true });
    expect(errorOf(again)).toMatchObject({ code: 'queue_unavailable' });
    expect(kinds(world)).toEqual(['accept', 'accept']);
    expect([...world.items.keys()]).toEqual(['job-a']);
    backlog.answer = { kind: 'added' };
    expect(await jobs.submit(jobSpec('job-a'), BODY, { isRepeated: true })).toMatchObject({ kind: 'accepted' });
    world.ledger.setWindows({ nightly: 4 });
    await world.clock.advance(100);
    expect(world.executions.get('job-a')).toBe(1);
  });

  test('a refused add is taken back by a void record before the caller hears of it', async () => {
    const { world, jobs, backlog } = await open();
    backlog.answer = { kind: 'refused', why: 'READONLY' };
    expect(errorOf(await jobs.submit(jobSpec('job-a'), BODY))).toMatchObject({ code: 'queue_unavailable' });
    expect(kinds(world)).toEqual(['accept', 'void']);
    expect(world.ledger.demand).toEqual([]);
  });

  test('an add of which nothing is known is told with the id, and is not taken back', async () => {
    const { world, jobs, backlog } = await open();
    backlog.answer = { kind: 'unknown', why: 'timeout' };
    const error = errorOf(await jobs.submit(jobSpec('job-a'), BODY));
    expect(error.code).toBe('accept_unknown');
    expect(error.message).toContain('job-a');
    expect(kinds(world)).toEqual(['accept']);
  });

  test('an unreachable ledger rejects before anything is written', async () => {
    const { world, jobs } = await open();
    world.ledger.isDown = true;
    expect(errorOf(await jobs.submit(jobSpec('job-a'), BODY)).code).toBe('queue_unavailable');
    expect(kinds(world)).toEqual([]);
  });

  test.each([
    { name: 'a pool that is not served', spec: jobSpec('job-a', { pool: 'default/other' }), code: 'no_capacity' },
    { name: 'an id that BullMQ would not take', spec: jobSpec('123'), code: 'internal_error' },
  ])('$name is rejected', async ({ spec, code }) => {
    const { jobs } = await open();
    expect(errorOf(await jobs.submit(spec, BODY)).code).toBe(code);
  });
});

describe('get, result, cancel, wait', () => {
  test('a finished job shows its outcome, its result and until when', async () => {
    const { world, jobs, pass } = await open({ window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(10);
    const finishedAtEpochMs = world.ledger.settled.get('job-a')?.atEpochMs ?? 0;
    expect(await jobs.get('job-a', TENANT)).toMatchObject({
      status: 'completed',
      finishedAtEpochMs,
      resultExpiresAtEpochMs: finishedAtEpochMs + 86_400_000,
    });
    expect(await jobs.result('job-a', TENANT)).toMatchObject({ httpStatus: 200, contentType: 'application/json' });
  });

  test("another tenant's job is unknown in every way", async () => {
    const { jobs, pass } = await open({ window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(10);
    expect(await jobs.get('job-a', 'team-b')).toBeNull();
    expect(await jobs.result('job-a', 'team-b')).toBeNull();
    expect(await jobs.cancel('job-a', 'team-b')).toEqual({ kind: 'unknown' });
    expect(await jobs.wait('job-a', 'team-b', 1_000, AbortSignal.timeout(10_000))).toBeNull();
    expect(await jobs.get('../../etc', TENANT)).toBeNull();
  });

  test('a waiting job is cancelled for good: outcome, record, nothing left to run', async () => {
    const { world, jobs, pass } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    expect(await jobs.cancel('job-a', TENANT)).toMatchObject({ kind: 'cancelled', view: { status: 'cancelled' } });
    expect(await jobs.cancel('job-a', TENANT)).toMatchObject({ kind: 'finished', view: { status: 'cancelled' } });
    world.ledger.setWindows({ nightly: 4 });
    await pass(5_000);
    expect(world.executions.size).toBe(0);
    expect(world.items.size).toBe(0);
    expect(await jobs.result('job-a', TENANT)).toBeNull();
  });

  test('a running job is stopped when it is cancelled, also by another process', async () => {
    for (const elsewhere of [false, true]) {
      const { execute, aborted } = heldExecution();
      const { world, jobs, pass } = await open({ execute, window: 2 });
      await jobs.submit(jobSpec('job-a'), BODY);
      await pass(10);
      expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'running' });
      const other = elsewhere ? startProcess(world).work.jobs : jobs;
      expect(await other.cancel('job-a', TENANT)).toMatchObject({ kind: 'cancelled' });
      expect(aborted).toMatchObject([{ code: 'request_cancelled' }]);
    }
  });

  test('a finished job is not cancelled any more', async () => {
    const { jobs, pass } = await open({ window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(10);
    expect(await jobs.cancel('job-a', TENANT)).toMatchObject({ kind: 'finished', view: { status: 'completed' } });
  });

  test('the request of a job can be read by its owner', async () => {
    const { jobs } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    expect(Buffer.from((await jobs.request('job-a', TENANT)) ?? [])).toEqual(BODY);
    expect(await jobs.request('job-a', 'another')).toBeNull();
  });

  test('a deleted job ends, is unknown, and stays so when Redis is lost', async () => {
    const { world, jobs, work } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    expect(await jobs.delete('job-a', 'another')).toBe(false);
    expect(await jobs.delete('job-a', TENANT)).toBe(true);
    expect(await jobs.get('job-a', TENANT)).toBeNull();
    expect(await jobs.delete('job-a', TENANT)).toBe(false);
    expect(world.ledger.settled.get('job-a')).toMatchObject({ outcome: { kind: 'cancelled' } });
    world.index.clear();
    const reconciled = work.reconcile();
    await world.clock.advance(10);
    await reconciled;
    expect(await jobs.get('job-a', TENANT)).toBeNull();
    expect(world.items.has('job-a')).toBe(false);
  });

  test('waiting ends at the outcome', async () => {
    const { world, jobs, pass } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    const waiting = jobs.wait('job-a', TENANT, 60_000, new AbortController().signal);
    await pass(5_000);
    world.ledger.setWindows({ nightly: 1 });
    await pass(20);
    expect(await waiting).toMatchObject({ status: 'completed' });
  });

  test('waiting ends at its time, and when the caller leaves, with the present view', async () => {
    const { jobs, pass } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    const caller = new AbortController();
    const patient = jobs.wait('job-a', TENANT, 3_000, new AbortController().signal);
    const leaving = jobs.wait('job-a', TENANT, 60_000, caller.signal);
    await pass(1_000);
    caller.abort();
    expect(await leaving).toMatchObject({ status: 'queued' });
    await pass(2_500);
    expect(await patient).toMatchObject({ status: 'queued' });
  });

  test('while Redis is away lookups say so instead of "not found"', async () => {
    const { world, jobs } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    world.ledger.isDown = true;
    await expect(jobs.get('job-a', TENANT)).rejects.toMatchObject({ code: 'queue_unavailable' });
    await expect(jobs.cancel('job-a', TENANT)).rejects.toMatchObject({ code: 'queue_unavailable' });
  });

  test('an id that is missing during a reconcile is not "not found" either', async () => {
    const { world, jobs, work, pass } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    world.index.clear();
    world.ledger.isDown = true;
    void work.reconcile().catch(() => undefined);
    await expect(jobs.get('job-a', TENANT)).rejects.toMatchObject({ code: 'queue_unavailable' });
    world.ledger.isDown = false;
    await pass(10_000);
    expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'queued' });
  });
});

test('a finished job that only the index lost is found again after a reconcile', async () => {
  const { world, jobs, work, pass } = await open({ window: 2 });
  await jobs.submit(jobSpec('job-a'), BODY);
  await pass(10);
  world.index.clear();
  await work.reconcile();
  expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'completed' });
  expect(world.executions.get('job-a')).toBe(1);
});

describe('deadlines', () => {
  test('a job past its deadline expires where it waits, and never runs', async () => {
    const { world, jobs, pass } = await open();
    await jobs.submit(jobSpec('job-a', { deadlineEpochMs: world.clock.epochMs() + 3_000 }), BODY);
    await pass(2_000);
    expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'queued' });
    await pass(3_000);
    expect(await jobs.get('job-a', TENANT)).toMatchObject({
      status: 'expired',
      outcome: { code: 'deadline_exceeded' },
    });
    expect(world.items.size).toBe(0);
  });

  test('a job past its deadline is stopped where it runs', async () => {
    const { execute, aborted } = heldExecution();
    const { world, jobs, pass } = await open({ execute, window: 2 });
    await jobs.submit(jobSpec('job-a', { deadlineEpochMs: world.clock.epochMs() + 3_000 }), BODY);
    await pass(5_000);
    expect(aborted[0]).toMatchObject({ code: 'deadline_exceeded' });
  });
});

describe('intake', () => {
  test('a handed-back job stays away while the intake is open, and waits in the backlog when it is closed', async () => {
    const { execute, finish } = heldExecution();
    const { world, jobs, pass } = await open({ execute, window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(10);
    finish();
    await pass(10);
    expect(world.items.get('job-a')).toMatchObject({ state: 'delayed', claims: 1 });
    await pass(500);
    expect(world.items.get('job-a')).toMatchObject({ state: 'held', claims: 2 });
    world.ledger.setWindows({ nightly: 0 });
    finish();
    await pass(60_000);
    expect(world.items.get('job-a')).toMatchObject({ state: 'waiting', claims: 2 });
  });

  test('nothing is claimed before the first reconcile, nor after lost ledger state until it is told again', async () => {
    const { world, jobs, pass } = await open({ window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(50);
    expect(world.executions.get('job-a')).toBe(1);
    world.loseRedis();
    await pass(5_000);
    expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'completed' });
    expect(world.executions.get('job-a')).toBe(1);
  });

  test('when its window closes, a job that only waits for a slot comes back, one that has a slot goes on', async () => {
    for (const hasSlot of [true, false]) {
      const { execute, aborted } = heldExecution({ hasSlot });
      const { world, jobs, pass } = await open({ execute, window: 2 });
      await jobs.submit(jobSpec('job-a'), BODY);
      await pass(10);
      world.ledger.setWindows({});
      await pass(10);
      expect(aborted.map((error) => error.message)).toHaveLength(hasSlot ? 0 : 1);
      expect(world.items.get('job-a')).toMatchObject({ state: hasSlot ? 'held' : 'waiting' });
    }
  });

  test('a stop hands running jobs back as draining after its patience', async () => {
    const { execute, aborted } = heldExecution();
    const { world, jobs, work, pass } = await open({ execute, window: 2 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(10);
    const stopped = work.stop(5_000);
    await pass(4_000);
    expect(aborted).toEqual([]);
    await pass(2_000);
    expect(aborted).toMatchObject([{ code: 'draining' }]);
    await stopped;
    expect(world.items.get('job-a')).toMatchObject({ state: 'waiting' });
    expect(work.lane(POOL)).toBeUndefined();
  });
});

describe('a pool that is served no more', () => {
  test('its queued jobs are still queued, and its results can still be fetched', async () => {
    const { world, jobs, work, pass } = await open({ window: 1 });
    await jobs.submit(jobSpec('job-a'), BODY);
    await pass(1_000);
    world.ledger.setWindows({ nightly: 0 });
    await jobs.submit(jobSpec('job-b'), BODY);
    await work.removePool(POOL);
    expect(await jobs.get('job-a', TENANT)).toMatchObject({ status: 'completed' });
    expect((await jobs.result('job-a', TENANT))?.httpStatus).toBe(200);
    expect(await jobs.get('job-b', TENANT)).toMatchObject({ status: 'queued' });
  });

  test('a job whose pool was never served here is not called unknown: it is told what has to come back', async () => {
    const { world, jobs } = await open();
    await jobs.submit(jobSpec('job-a'), BODY);
    world.index.set('job-a', { ...world.index.get('job-a')!, pool: 'default/gone' });
    await expect(jobs.get('job-a', TENANT)).rejects.toMatchObject({
      code: 'no_capacity',
      message: expect.stringContaining('pool default/gone') as string,
    });
    expect(await jobs.get('job-a', 'another-team')).toBeNull();
  });
});

test.each([
  { state: 'waiting', position: 3, status: 'queued' },
  { state: 'running', position: null, status: 'running' },
  { state: 'recording', position: null, status: 'running' },
] as const)('a job that is $state in the live order is $status and tells its position', async (of) => {
  const order = new FakeOrder(POOL);
  const { jobs, work, world, backlog } = await open();
  work.addPool({ ledger: world.ledger, backlog, order });
  await jobs.submit(jobSpec('job-a'), BODY);
  expect(await jobs.get('job-a', TENANT)).not.toHaveProperty('position');
  order.tickets = [liveTicket('job-a', of)];
  const { status, position } = of;
  expect(await jobs.get('job-a', TENANT)).toMatchObject({ status, ...(position !== null && { position }) });
});
