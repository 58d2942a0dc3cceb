import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planRetention, type SegmentFacts } from '../../../../src/queue/policy/backlog/retention.ts';

function facts(segment: string, openJobs: number, endedElsewhere: Record<string, string[]> = {}): SegmentFacts {
  return { segment, openJobs, endedElsewhere: new Map(Object.entries(endedElsewhere)) };
}

test.each([
  {
    name: 'a segment without open jobs goes',
    candidates: [facts('s1', 0)],
    present: ['s1', 's2'],
    want: { remove: ['s1'], tombstones: [] },
  },
  {
    name: 'one with an open job stays',
    candidates: [facts('s1', 1)],
    present: ['s1'],
    want: { remove: [], tombstones: [] },
  },
  {
    name: 'ends of jobs whose segment stays are carried over',
    candidates: [facts('s1', 1), facts('s2', 0, { s1: ['job-a', 'job-b'] })],
    present: ['s1', 's2'],
    want: { remove: ['s2'], tombstones: [{ acceptSegment: 's1', jobIds: ['job-a', 'job-b'] }] },
  },
  {
    name: 'ends of jobs whose segment goes too, or went before, are not',
    candidates: [facts('s1', 0), facts('s2', 0, { s1: ['job-a'], s0: ['job-z'] })],
    present: ['s1', 's2'],
    want: { remove: ['s1', 's2'], tombstones: [] },
  },
  {
    name: 'long lists are split, doubles told once',
    candidates: [facts('s1', 1), facts('s2', 0, { s1: ['a', 'b', 'c'] }), facts('s3', 0, { s1: ['c', 'd'] })],
    present: ['s1', 's2', 's3'],
    want: {
      remove: ['s2', 's3'],
      tombstones: [
        { acceptSegment: 's1', jobIds: ['a', 'b', 'c'] },
        { acceptSegment: 's1', jobIds: ['d'] },
      ],
    },
  },
])('planRetention: $name', ({ candidates, present, want }) => {
  expect(planRetention(candidates, new Set(present), 3)).toEqual(want);
});

test('planRetention: no ended job of a segment that stays is ever forgotten, and no open job is removed', () => {
  const segment = fc.constantFrom('s1', 's2', 's3', 's4');
  const candidate = fc.record({
    segment,
    openJobs: fc.nat(2),
    endedElsewhere: fc.dictionary(segment, fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 })),
  });
  fc.assert(
    fc.property(fc.uniqueArray(candidate, { selector: (c) => c.segment }), (raw) => {
      const candidates = raw.map((c) => facts(c.segment, c.openJobs, c.endedElsewhere));
      const plan = planRetention(candidates, new Set(['s1', 's2', 's3', 's4']), 2);
      const removed = new Set(plan.remove);
      for (const c of candidates) expect(removed.has(c.segment)).toBe(c.openJobs === 0);
      const carried = new Set(plan.tombstones.flatMap((t) => t.jobIds.map((id) => `${t.acceptSegment}/${id}`)));
      for (const c of candidates.filter((one) => removed.has(one.segment))) {
        for (const [home, ids] of c.endedElsewhere) {
          for (const id of ids) expect(carried.has(`${home}/${id}`)).toBe(!removed.has(home));
        }
      }
    }),
  );
});
