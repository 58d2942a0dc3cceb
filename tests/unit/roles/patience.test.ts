import { expect, test } from 'vitest';
import { asError } from '../../../src/core/errors.ts';
import { patiently } from '../../../src/roles/patience.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig(outcomes: readonly (string | null)[], limitMs = 60_000) {
  const clock = new FakeClock();
  const waits: number[] = [];
  const stop = new AbortController();
  let tries = 0;
  const work = () => {
    const outcome = outcomes[Math.min(tries, outcomes.length - 1)] ?? null;
    tries += 1;
    return outcome === null ? Promise.resolve('open') : Promise.reject(new Error(outcome));
  };
  const patience = {
    clock,
    limitMs,
    mayPass: (error: Error) => error.message !== 'wrong password',
    onWait: (_error: Error, waitedMs: number) => waits.push(waitedMs),
  };
  const done = patiently(work, patience, stop.signal).catch((thrown: unknown) => asError(thrown).message);
  return { clock, waits, stop, done, tries: () => tries };
}

test('what is away is tried again after 1, 2, 4, 5, 5 s, until it is there', async () => {
  const { clock, waits, done } = rig(['away', 'away', 'away', 'away', 'away', null]);
  await clock.advance(17_000);
  expect(await done).toBe('open');
  expect(waits).toEqual([0, 1_000, 3_000, 7_000, 12_000]);
});

test('what does not mend itself is thrown at once', async () => {
  const { clock, waits, done } = rig(['away', 'wrong password']);
  await clock.advance(1_000);
  expect(await done).toBe('wrong password');
  expect(waits).toHaveLength(1);
});

test('after the limit the last error is thrown', async () => {
  const { clock, done, tries } = rig(['away'], 10_000);
  await clock.advance(10_000);
  expect(await done).toBe('away');
  expect(tries()).toBe(4);
});

test('a signal ends the wait at once', async () => {
  const { clock, stop, done, tries } = rig(['away']);
  await clock.advance(100);
  stop.abort(new Error('the process is stopping'));
  expect(await done).toBe('the process is stopping');
  expect(tries()).toBe(1);
});
