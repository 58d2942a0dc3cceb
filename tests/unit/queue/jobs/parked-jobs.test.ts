import { expect, test } from 'vitest';
import type { BacklogTags, BacklogTurn, FairItem } from '../../../../src/queue/backlog/ports.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { COMPLETED, jobSpec, startProcess, World } from '../../../support/stored-world.ts';

const BODY = Buffer.from('{"model":"chat"}');

test('a job that is parked is looked at when its time has come, not before, while others go on', async () => {
  const world = new World();
  const tries: string[] = [];
  const mayRunAtMs = world.clock.monotonicMs() + 60_000;
  const { work } = startProcess(world, {
    execute: async ({ spec, place }) => {
      tries.push(spec.id);
      const leftMs = mayRunAtMs - world.clock.monotonicMs();
      if (spec.id === 'job-parked' && leftMs > 0) {
        return { kind: 'handed_back', reason: 'rate_limit_exceeded', delayMs: leftMs };
      }
      await world.ledger.settle(spec.id, spec.objective, COMPLETED, place.acceptRef);
      return { kind: 'settled', outcome: COMPLETED };
    },
  });
  work.start();
  world.ledger.setWindows({ nightly: 1 });
  await settleMicrotasks();
  await work.jobs.submit(jobSpec('job-parked'), BODY);
  await work.jobs.submit(jobSpec('job-b'), BODY);
  await world.clock.advance(59_000);
  expect(world.ledger.settled.has('job-b')).toBe(true);
  expect(world.ledger.settled.has('job-parked')).toBe(false);
  await world.clock.advance(2_000);
  expect(world.ledger.settled.has('job-parked')).toBe(true);
  expect(tries.filter((id) => id === 'job-parked')).toHaveLength(2);
});

/** A tag for each asking, so that a test sees who asked for what. */
class NotedTags implements BacklogTags {
  readonly asked: FairItem[] = [];
  readonly taken: number[] = [];
  isAway = false;

  turn(item: FairItem): Promise<BacklogTurn> {
    if (this.isAway) return Promise.reject(new Error('connection lost'));
    this.asked.push(item);
    return Promise.resolve({ start: this.asked.length, tag: this.asked.length + 1 });
  }

  opened(_objective: string, start: number): void {
    this.taken.push(start);
  }
}

test('a job is queued at the place of its tenant, and taking it is told; after a loss of Redis its place is asked for anew', async () => {
  const world = new World();
  const tags = new NotedTags();
  const { work } = startProcess(world, { tags });
  work.start();
  await settleMicrotasks();
  await work.jobs.submit(jobSpec('job-a'), BODY);
  await work.jobs.submit(jobSpec('job-b', { tenant: 'team-b' }), BODY);
  const place = { objective: 'nightly', costTokens: 30, weight: 1 };
  expect(tags.asked).toEqual([
    { id: 'job-a', tenant: 'team-a', ...place },
    { id: 'job-b', tenant: 'team-b', ...place },
  ]);
  expect(world.items.get('job-b')).toMatchObject({ start: 2, tag: 3 });
  world.loseRedis();
  await work.reconcile();
  expect(tags.asked.slice(2, 4).map(({ id }) => id)).toEqual(['job-a', 'job-b']);
  expect(world.items.get('job-b')).toMatchObject({ start: 4, tag: 5 });
  world.ledger.setWindows({ nightly: 2 });
  await world.clock.advance(1_000);
  expect(tags.taken).toEqual([3, 4]);
});

test('without a place a job is not accepted, and leaves nothing behind', async () => {
  const world = new World();
  const tags = new NotedTags();
  const { work } = startProcess(world, { tags });
  work.start();
  await settleMicrotasks();
  tags.isAway = true;
  const answer = await work.jobs.submit(jobSpec('job-a'), BODY);
  expect(answer).toMatchObject({ kind: 'rejected', error: { code: 'queue_unavailable' } });
  expect(world.records.map(({ header }) => header.kind)).toEqual(['accept', 'void']);
  expect(world.items.size).toBe(0);
});
