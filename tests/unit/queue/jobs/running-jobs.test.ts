import { expect, test } from 'vitest';
import type { ClaimVerdict } from '../../../../src/queue/backlog/ports.ts';
import { type RunKey, RunningJobs } from '../../../../src/queue/jobs/running-jobs.ts';

const FINISHED: ClaimVerdict = { kind: 'finished' };
const key = (id: string, fields: Partial<RunKey> = {}): RunKey => ({
  id,
  pool: 'default/chat',
  objective: 'nightly',
  isSuspect: false,
  ...fields,
});

/** An execution that ends when told. */
function openRun() {
  let end: (verdict: ClaimVerdict) => void = () => undefined;
  let begun = 0;
  const signals: AbortSignal[] = [];
  return {
    begun: () => begun,
    signals,
    end: (verdict: ClaimVerdict) => end(verdict),
    execute: ({ signal }: AbortController) => {
      begun += 1;
      signals.push(signal);
      return new Promise<ClaimVerdict>((resolve) => (end = resolve));
    },
  };
}

test('a second claim attaches to the run of the first and shares its verdict', async () => {
  const running = new RunningJobs();
  const run = openRun();
  const verdicts = [running.run(key('job-a'), run.execute), running.run(key('job-a'), run.execute)];
  expect(run.begun()).toBe(1);
  run.end(FINISHED);
  expect(await Promise.all(verdicts)).toEqual([FINISHED, FINISHED]);
  const again = running.run(key('job-a'), run.execute);
  expect(run.begun()).toBe(2);
  run.end(FINISHED);
  await again;
});

test('only jobs without a slot, of that pool and objective, are stopped as waiting', async () => {
  const running = new RunningJobs();
  const aborted: string[] = [];
  const start = (id: string, fields: Partial<RunKey>, hasSlot: boolean): void => {
    void running.run(key(id, fields), ({ signal }, onSlot) => {
      if (hasSlot) onSlot();
      signal.addEventListener('abort', () => aborted.push(id));
      return new Promise(() => undefined);
    });
  };
  start('waits', {}, false);
  start('has-slot', {}, true);
  start('other-objective', { objective: 'interactive' }, false);
  start('other-pool', { pool: 'default/other' }, false);
  expect([running.isWaiting('waits'), running.isWaiting('has-slot'), running.isWaiting('unknown')]).toEqual([
    true,
    false,
    false,
  ]);
  running.abortWaiting('default/chat', 'nightly', new Error('closed'));
  expect(aborted).toEqual(['waits']);
  running.abortAll(new Error('stop'));
  expect(aborted.sort()).toEqual(['has-slot', 'other-objective', 'other-pool', 'waits']);
  await Promise.resolve();
});

test('suspects are counted for as long as they run, also when they throw', async () => {
  const running = new RunningJobs();
  const run = openRun();
  const verdict = running.run(key('job-a', { isSuspect: true }), run.execute);
  const failing = running.run(key('job-b', { isSuspect: true }), () => Promise.reject(new Error('defect')));
  expect(running.suspects).toBe(2);
  await expect(failing).rejects.toThrow('defect');
  run.end(FINISHED);
  await verdict;
  expect(running.suspects).toBe(0);
});
