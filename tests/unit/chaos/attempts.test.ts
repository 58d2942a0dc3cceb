import { expect, test } from 'vitest';
import type { JournalLine } from '../../../src/model-sim/adapters/call-journal.ts';
import { attemptsOf, overfull } from '../../chaos/support/attempts.ts';

const line = (pid: number, call: string, event: JournalLine['event'], atEpochMs: number, open = 1): JournalLine => ({
  ...{ pid, call, event, atEpochMs, open, seed: 7 },
  ...(event === 'ended' && { why: 'length' }),
});

test('attempts of a text stand in the order in which they began, whatever process had them', () => {
  const attempts = attemptsOf([
    line(2, 'b', 'began', 20),
    line(1, 'a', 'began', 10),
    line(1, 'a', 'first', 12),
    line(1, 'a', 'ended', 15),
    line(2, 'b', 'ended', 30),
  ]);
  expect(
    attempts
      .get(7)
      ?.map(({ pid, beganAtEpochMs, firstAtEpochMs, endedAtEpochMs }) => [
        pid,
        beganAtEpochMs,
        firstAtEpochMs,
        endedAtEpochMs,
      ]),
  ).toEqual([
    [1, 10, 12, 15],
    [2, 20, null, 30],
  ]);
});

test('one process may have the same call twice', () => {
  const attempts = attemptsOf([
    line(1, 'a', 'began', 10),
    line(1, 'a', 'ended', 15),
    line(1, 'a', 'began', 20),
    line(1, 'a', 'ended', 25),
  ]);
  expect(attempts.get(7)?.map(({ endedAtEpochMs }) => endedAtEpochMs)).toEqual([15, 25]);
});

test('an attempt whose process was killed has no end of its own and is over when that was last heard of', () => {
  const attempts = attemptsOf([line(1, 'a', 'began', 10), line(1, 'b', 'began', 40), line(2, 'c', 'began', 90)]);
  expect(attempts.get(7)?.map(({ why, endedAtEpochMs }) => [why, endedAtEpochMs])).toEqual([
    [null, 40],
    [null, 40],
    [null, 90],
  ]);
});

test('only what lasts long enough counts as more calls than slots', () => {
  const journal = [
    ...[line(1, 'a', 'began', 0, 3), line(1, 'a', 'ended', 50, 2)],
    ...[line(1, 'b', 'began', 100, 3), line(1, 'c', 'began', 600, 4), line(1, 'b', 'ended', 1_200, 2)],
    line(2, 'd', 'began', 100, 2),
  ];
  expect(overfull(journal, 2, 1_000)).toEqual([{ pid: 1, fromEpochMs: 100, toEpochMs: 1_200, most: 4 }]);
});
