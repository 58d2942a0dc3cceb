import { describe, expect, test } from 'vitest';
import type { SubmitAnswer } from '../../../../src/core/jobs.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { Fuse, jobSpec, startProcess, TENANT, World } from '../../../support/stored-world.ts';

const BODY = Buffer.from('{"model":"chat"}');
/** More than one job's life has; the test checks that it was. */
const MAX_STEPS = 40;

/** One process takes a job from submit to outcome, and dies at its step `blowsAt`. */
async function liveUntil(world: World, fuse: Fuse): Promise<SubmitAnswer | null> {
  const { work } = startProcess(world, { fuse });
  work.start();
  world.ledger.setWindows({ nightly: 4 });
  await settle(world);
  const submitted = work.jobs.submit(jobSpec('job-a'), BODY);
  let answer: SubmitAnswer | null = null;
  void submitted.then((value) => (answer = value));
  await settle(world);
  world.ledger.setWindows({});
  return answer;
}

/** The next process finds what is left. */
async function takeOver(world: World): Promise<ReturnType<typeof startProcess>> {
  const next = startProcess(world);
  next.work.start();
  world.ledger.setWindows({ nightly: 4 });
  next.backlog.recoverDead();
  await settle(world);
  return next;
}

async function settle(world: World): Promise<void> {
  for (let turn = 0; turn < 15; turn += 1) {
    await world.clock.advance(1_000);
    await settleMicrotasks();
  }
}

const deaths = (['before', 'after'] as const).flatMap((mode) =>
  Array.from({ length: MAX_STEPS }, (_, index) => ({ mode, blowsAt: index + 1 })),
);

describe('a process that dies at any step of accept and outcome', () => {
  for (const redis of ['kept', 'lost'] as const) {
    test(`leaves exactly one outcome for every accepted job; Redis ${redis}`, async () => {
      let deadOnes = 0;
      for (const { mode, blowsAt } of deaths) {
        const where = `dies ${mode} step ${blowsAt}, Redis ${redis}`;
        const world = new World();
        const fuse = Object.assign(new Fuse(), { mode, blowsAt });
        const answer = await liveUntil(world, fuse);
        if (fuse.steps >= blowsAt) deadOnes += 1;
        const resultsBefore = world.resultsOf('job-a').length;
        if (redis === 'lost') world.loseRedis();
        const next = await takeOver(world);

        const accepted = world.records.some(({ header }) => header.kind === 'accept');
        if (answer?.kind === 'accepted') expect(accepted, where).toBe(true);
        if (!accepted) {
          expect(world.ledger.settled.size, where).toBe(0);
          continue;
        }
        const outcome = world.ledger.settled.get('job-a');
        expect(outcome?.outcome.kind, where).toBe('completed');
        expect(world.items.size, where).toBe(0);
        expect(world.ledger.demand, where).toEqual([]);
        expect(await next.work.jobs.get('job-a', TENANT), where).toMatchObject({ status: 'completed' });
        const result = await next.work.jobs.result('job-a', TENANT);
        expect(result && Buffer.from(result.body).toString(), where).toBe('answer to job-a');
        // A result that was synced is never worked for again.
        if (resultsBefore > 0) expect(world.resultsOf('job-a'), where).toHaveLength(resultsBefore);
      }
      expect(deadOnes).toBeGreaterThan(12);
      expect(deadOnes).toBeLessThan(deaths.length);
    });
  }
});

test('a job that was cancelled stays cancelled when Redis is lost', async () => {
  const world = new World();
  const first = startProcess(world);
  first.work.start();
  await settle(world);
  await first.work.jobs.submit(jobSpec('job-a'), BODY);
  expect(await first.work.jobs.cancel('job-a', TENANT)).toMatchObject({ kind: 'cancelled' });
  first.fuse.blow();
  world.loseRedis();
  const next = await takeOver(world);
  expect(await next.work.jobs.get('job-a', TENANT)).toMatchObject({ status: 'cancelled' });
  expect(world.executions.size).toBe(0);
});

test('a job that its submitter takes back while another process reconciles does not run', async () => {
  const world = new World();
  const spec = jobSpec('job-a', { acceptedAtEpochMs: world.clock.epochMs() });
  world.records.push({ ref: 'r0', header: { kind: 'accept', spec }, body: BODY });
  const { work, store } = startProcess(world);
  const scan = store.scan.bind(store);
  let scans = 0;
  store.scan = (...args) => {
    scans += 1;
    // Once its ends were read, and before it is found to be open.
    const header = { kind: 'void', jobId: 'job-a', acceptRef: 'r0' } as const;
    if (scans === 2) world.records.push({ ref: 'r1', header, body: new Uint8Array() });
    return scan(...args);
  };
  work.start();
  await settle(world);
  world.ledger.setWindows({ nightly: 4 });
  await settle(world);
  expect(scans).toBeGreaterThan(2);
  expect([world.items.size, world.executions.size]).toEqual([0, 0]);
  expect(world.ledger.demand).toEqual([]);
});

test('a job that keeps killing its process ends as failed, and its error can be read', async () => {
  const world = new World();
  const submitter = startProcess(world);
  submitter.work.start();
  await settle(world);
  await submitter.work.jobs.submit(jobSpec('job-a'), BODY);
  submitter.fuse.blow();
  for (let crash = 0; crash < 3; crash += 1) {
    // Its execution never comes back: the process is gone.
    const dying = startProcess(world, { execute: () => new Promise(() => undefined) });
    dying.work.start();
    world.ledger.setWindows({ nightly: 4 });
    dying.backlog.recoverDead();
    await settle(world);
    dying.fuse.blow();
    world.ledger.setWindows({});
  }
  const next = await takeOver(world);
  expect(await next.work.jobs.get('job-a', TENANT)).toMatchObject({
    status: 'failed',
    outcome: { code: 'attempts_exhausted', httpStatus: 502 },
  });
  const result = await next.work.jobs.result('job-a', TENANT);
  expect(JSON.parse(Buffer.from(result?.body ?? '').toString())).toMatchObject({
    error: { code: 'attempts_exhausted' },
  });
});
