import { expect, test } from 'vitest';
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
