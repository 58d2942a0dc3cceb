import { expect, test } from 'vitest';
import { mayBeOpen, mayCount, noJobEnds, noteJobEnd } from '../../../../src/queue/policy/backlog/job-ends.ts';

test('a voided job and one whose result is gone are not open, all others may be', () => {
  const ends = noJobEnds();
  noteJobEnd(ends, { kind: 'accept' });
  noteJobEnd(ends, { kind: 'void', jobId: 'job-void' });
  noteJobEnd(ends, { kind: 'gone', jobIds: ['job-old', 'job-older'] });
  expect(['job-void', 'job-old', 'job-older', 'job-a'].map((id) => mayBeOpen(ends, id))).toEqual([
    false,
    false,
    false,
    true,
  ]);
});

test('a cancellation beats every result of its job, wherever it stands in the store', () => {
  const ends = noJobEnds();
  noteJobEnd(ends, { kind: 'result', jobId: 'job-a', attempt: 1 });
  noteJobEnd(ends, { kind: 'result', jobId: 'job-a', attempt: 0 });
  expect(mayCount(ends, { jobId: 'job-a', attempt: 1, ref: 'r1' })).toBe(false);
  expect(mayCount(ends, { jobId: 'job-a', attempt: 0, ref: 'r2' })).toBe(true);
  expect(mayCount(ends, { jobId: 'job-b', attempt: 1, ref: 'r3' })).toBe(true);
});

test('an orphan never counts', () => {
  const ends = noJobEnds();
  noteJobEnd(ends, { kind: 'orphan', resultRef: 'r1' });
  expect(mayCount(ends, { jobId: 'job-a', attempt: 1, ref: 'r1' })).toBe(false);
  expect(mayCount(ends, { jobId: 'job-a', attempt: 2, ref: 'r2' })).toBe(true);
});
