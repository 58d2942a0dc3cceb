import { describe, expect, test } from 'vitest';
import { type Look, SignsOfLife } from '../../../../src/queue/live-order/signs-of-life.ts';

const DEAD_AFTER_MS = 3_000;

/** Looks a process takes at given times, and when a heartbeat was answered and had been sent. */
type Story = readonly (readonly ['look', number] | readonly ['answered', number])[];

function lastLook(story: Story): Look {
  const signs = new SignsOfLife(DEAD_AFTER_MS, 0);
  let last: Look = 'well';
  for (const [what, atMs] of story) {
    if (what === 'look') last = signs.look(atMs);
    else signs.answered(atMs);
  }
  return last;
}

/** Ticks of a process that runs. */
const awake = (fromMs: number, untilMs: number): Story =>
  Array.from({ length: Math.floor((untilMs - fromMs) / 250) }, (_, index) => ['look', fromMs + 250 * (index + 1)]);

describe('a process', () => {
  const stories: [string, Look, Story][] = [
    ['that runs and is heard is well', 'well', [...awake(0, 1_000), ['answered', 1_000], ...awake(1_000, 3_500)]],
    ['whose ledger does not answer is well', 'well', awake(0, 60_000)],
    ['whose timers are uneven is well', 'well', awake(0, 1_000).concat([['look', 1_500]])],
    ['that stood still and has time left says so', 'stood_still', [['look', 2_999]]],
    ['that stood still for as long as others wait has run out', 'ran_out', [['look', 3_000]]],
    [
      'counts from when the answered heartbeat was sent',
      'ran_out',
      [...awake(0, 1_000), ['answered', 500], ['look', 3_500]],
    ],
    [
      'that has an answer to what it sent meanwhile is well',
      'stood_still',
      [...awake(0, 1_000), ['answered', 1_000], ['look', 3_500]],
    ],
    [
      'that stood still twice for a while has run out with both',
      'ran_out',
      [['look', 1_400], ['look', 1_500], ['look', 2_800], ...awake(2_800, 3_050)],
    ],
    [
      'that stood still a little while the ledger was away already goes on',
      'stood_still',
      [...awake(0, 3_250), ['look', 5_000]],
    ],
    [
      'that stood still for long while the ledger was away has run out',
      'ran_out',
      [...awake(0, 3_250), ['look', 6_250]],
    ],
    ['is told once that it has run out', 'well', [['look', 3_000], ...awake(3_000, 9_000)]],
    [
      'that was heard again can run out again',
      'ran_out',
      [
        ['look', 3_000],
        ['answered', 3_100],
        ['look', 3_200],
        ['look', 6_150],
      ],
    ],
  ];
  test.each(stories)('%s', (_name, expected, story) => {
    expect(lastLook(story)).toBe(expected);
  });
});
