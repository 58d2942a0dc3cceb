import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatCursor, parseCursor, retryIdOf, retrySpec } from '../../../../src/queue/policy/backlog/dead-letter.ts';
import { mayBeDead, noJobEnds, noteJobEnd } from '../../../../src/queue/policy/backlog/job-ends.ts';
import { jobSpec } from '../../../support/stored-world.ts';

describe('the id of a retry', () => {
  test.each([
    ['job_1', 'job_1-r1'],
    ['job_1-r1', 'job_1-r2'],
    ['job_1-r9', 'job_1-r10'],
    ['job-right', 'job-right-r1'],
    ['job_1-r', 'job_1-r-r1'],
    ['resp_1', 'resp_1-r1'],
  ])('of %s is %s', (id, retry) => {
    expect(retryIdOf(id)).toBe(retry);
  });

  test('is never that of another job', () => {
    const ids = fc.stringMatching(/^[a-z]{1,3}(-r\d{1,3})?$/);
    fc.assert(
      fc.property(ids, ids, (one, other) => {
        const hasLeadingZero = /-r0\d/.test(one + other);
        expect(one === other || hasLeadingZero || retryIdOf(one) !== retryIdOf(other)).toBe(true);
      }),
    );
  });
});

test.each([
  { name: 'has as long to its deadline as at first', deadlineEpochMs: 1_500, want: 9_500 },
  { name: 'has no deadline if it had none', deadlineEpochMs: null, want: null },
])('a retry $name', ({ deadlineEpochMs, want }) => {
  const spec = jobSpec('job_1', { acceptedAtEpochMs: 1_000, deadlineEpochMs, announce: { kind: 'webhook' } });
  expect(retrySpec(spec, 9_000)).toEqual({
    ...spec,
    id: 'job_1-r1',
    retryOf: 'job_1',
    acceptedAtEpochMs: 9_000,
    deadlineEpochMs: want,
  });
});

test('a cursor reads back as it was, and nothing else is one', () => {
  const cursor = { objective: 'nightly', endedAtEpochMs: 1_700_000_000_000, id: 'job_1' };
  expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
  for (const text of ['', 'nightly', 'nightly|x|job', 'a|1|b|c', '|1|b']) expect(parseCursor(text)).toBeNull();
});

test('a failed job that was retried, deleted or removed is no dead letter', () => {
  const ends = noJobEnds();
  noteJobEnd(ends, { kind: 'accept', spec: { retryOf: 'retried' } });
  noteJobEnd(ends, { kind: 'void', jobId: 'purged' });
  noteJobEnd(ends, { kind: 'gone', jobIds: ['gone'] });
  noteJobEnd(ends, { kind: 'accept', spec: {} });
  const ids = ['retried', 'purged', 'gone', 'open'];
  expect(ids.filter((id) => mayBeDead(ends, id))).toEqual(['open']);
});
