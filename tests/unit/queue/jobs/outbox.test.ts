import { describe, expect, test } from 'vitest';
import type { JobAnnouncement, JobView } from '../../../../src/core/jobs.ts';
import type { OutboxClaims } from '../../../../src/queue/jobs/outbox.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { Fuse, jobSpec, startProcess, TENANT, World } from '../../../support/stored-world.ts';

const BODY = Buffer.from('{"model":"chat"}');
const WEBHOOK: JobAnnouncement = { kind: 'webhook' };

/** Claims of all processes of a world. */
class MemoryClaims implements OutboxClaims {
  readonly untilMs = new Map<string, number>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  claim(ids: readonly string[], ttlMs: number): Promise<ReadonlySet<string>> {
    const nowMs = this.#world.clock.epochMs();
    const free = ids.filter((id) => (this.untilMs.get(id) ?? 0) <= nowMs);
    for (const id of free) this.untilMs.set(id, nowMs + ttlMs);
    return Promise.resolve(new Set(free));
  }

  defer(id: string, forMs: number): Promise<void> {
    this.untilMs.set(id, this.#world.clock.epochMs() + forMs);
    return Promise.resolve();
  }
}

interface Told {
  readonly view: JobView;
  readonly announcement: JobAnnouncement;
  readonly atMs: number;
}

function rig() {
  const world = new World();
  const outboxClaims = new MemoryClaims(world);
  const told: Told[] = [];
  const problem = { left: 0 };
  const start = (fuse = new Fuse()) => {
    const process = startProcess(world, { fuse, outboxClaims });
    for (const kind of ['webhook', 'sqs'] as const) {
      process.work.announceTo(kind, (view, announcement) => {
        if (problem.left > 0) {
          problem.left -= 1;
          return Promise.reject(new Error('the receiver is away'));
        }
        told.push({ view, announcement, atMs: world.clock.epochMs() });
        return Promise.resolve();
      });
    }
    process.work.start();
    world.ledger.setWindows({ nightly: 4 });
    return process;
  };
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      await world.clock.advance(1_000);
      await settleMicrotasks();
    }
  };
  return { world, told, problem, start, pass };
}

describe('the end of a job that is announced', () => {
  test('is told although the index does not know the job yet: Redis lost it, and another process was quicker', async () => {
    const { world, told, start, pass } = rig();
    const { work } = start();
    world.ledger.setWindows({});
    await pass(2);
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    const place = world.index.get('job-a');
    world.index.delete('job-a');
    world.ledger.setWindows({ nightly: 4 });
    await pass(3);
    expect(told).toEqual([]);
    if (place) world.index.set('job-a', place);
    await pass(10);
    expect(told).toMatchObject([{ view: { spec: { id: 'job-a' }, status: 'completed' } }]);
  });

  test('is not told for ever: a job that nobody knows is forgotten', async () => {
    const { world, told, start, pass } = rig();
    const { work } = start();
    world.ledger.setWindows({});
    await pass(2);
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    world.index.delete('job-a');
    world.ledger.setWindows({ nightly: 4 });
    await pass(60);
    expect(told).toEqual([]);
    expect(await world.ledger.outbox(10)).toEqual([]);
  });

  test('is told once, with how it ended, within a moment', async () => {
    const { world, told, start, pass } = rig();
    const { work } = start();
    await pass(2);
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    await pass(2);
    expect(told).toMatchObject([{ announcement: WEBHOOK, view: { spec: { id: 'job-a' }, status: 'completed' } }]);
    await pass(600);
    expect(told).toHaveLength(1);
    expect(await world.ledger.outbox(10)).toEqual([]);
  });

  test('is told with what its announcement says', async () => {
    const { told, start, pass } = rig();
    const { work } = start();
    const announce = {
      kind: 'sqs',
      source: 'work',
      queueUrl: 'http://sqs/1',
      correlationId: 'c-7',
      format: 'batch_row',
      customId: 'row-1',
      metadata: null,
      messageId: 'm-1',
      groupId: null,
    } as const;
    await pass(2);
    await work.jobs.submit(jobSpec('job-a', { announce }), BODY);
    await pass(2);
    expect(told.map(({ announcement }) => announcement)).toEqual([announce]);
  });

  test('is nobody’s business when nobody asked', async () => {
    const { told, start, pass } = rig();
    const { work } = start();
    await pass(2);
    await work.jobs.submit(jobSpec('job-a'), BODY);
    await pass(5);
    expect((await work.jobs.get('job-a', TENANT))?.status).toBe('completed');
    expect(told).toEqual([]);
  });

  test('is told of a cancelled one too', async () => {
    const { world, told, start, pass } = rig();
    const { work } = start();
    await pass(2);
    world.ledger.setWindows({});
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    await work.jobs.cancel('job-a', TENANT);
    await pass(2);
    expect(told.map(({ view }) => view.status)).toEqual(['cancelled']);
  });

  test('is tried again, less and less often, until it is taken in', async () => {
    const { world, told, problem, start, pass } = rig();
    const { work } = start();
    await pass(2);
    problem.left = 3;
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    const submittedAtMs = world.clock.epochMs();
    await pass(120);
    expect(told).toHaveLength(1);
    // 5 s, 10 s and 20 s, and a look a second.
    expect((told[0]?.atMs ?? 0) - submittedAtMs).toBeGreaterThanOrEqual(35_000);
    expect((told[0]?.atMs ?? 0) - submittedAtMs).toBeLessThan(42_000);
  });

  test('does not wait behind one that nobody takes in', async () => {
    const { told, problem, start, pass } = rig();
    const { work } = start();
    await pass(2);
    problem.left = 1;
    await work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
    await pass(1);
    await work.jobs.submit(jobSpec('job-b', { announce: WEBHOOK }), BODY);
    await pass(2);
    expect(told.map(({ view }) => view.spec.id)).toEqual(['job-b']);
    await pass(10);
    expect(told.map(({ view }) => view.spec.id)).toEqual(['job-b', 'job-a']);
  });

  test('is told by one of two processes', async () => {
    const { told, start, pass } = rig();
    const first = start();
    start();
    await pass(2);
    for (let index = 0; index < 20; index += 1) {
      await first.work.jobs.submit(jobSpec(`job-${index}x`, { announce: WEBHOOK }), BODY);
    }
    await pass(30);
    expect(told).toHaveLength(20);
    expect(new Set(told.map(({ view }) => view.spec.id)).size).toBe(20);
  });

  for (const redis of ['kept', 'lost'] as const) {
    test(`is told whichever step the process dies at; Redis ${redis}`, async () => {
      let deadOnes = 0;
      for (const mode of ['before', 'after'] as const) {
        for (let blowsAt = 1; blowsAt <= 14; blowsAt += 1) {
          const { world, told, start, pass } = rig();
          const fuse = Object.assign(new Fuse(), { mode, blowsAt });
          const { work } = start(fuse);
          await pass(2);
          void work.jobs.submit(jobSpec('job-a', { announce: WEBHOOK }), BODY);
          await pass(3);
          world.ledger.setWindows({});
          if (fuse.steps >= blowsAt) deadOnes += 1;
          if (redis === 'lost') world.loseRedis();
          const next = start();
          next.backlog.recoverDead();
          await pass(90);
          const where = `dies ${mode} step ${blowsAt}`;
          if (!world.records.some(({ header }) => header.kind === 'accept')) continue;
          expect(world.ledger.settled.get('job-a')?.outcome.kind, where).toBe('completed');
          expect(told.length, where).toBeGreaterThanOrEqual(1);
          expect(new Set(told.map(({ view }) => view.spec.id)), where).toEqual(new Set(['job-a']));
        }
      }
      expect(deadOnes).toBeGreaterThan(12);
    });
  }
});
