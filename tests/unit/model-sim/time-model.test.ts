import { expect, test } from 'vitest';
import { sped, stepDurationMs } from '../../../src/model-sim/policy/time-model.ts';

const time = { prefillTokensPerSecond: 2_000, decodeBaseMs: 10, decodePerSequenceMs: 0.5 };

test.each([
  {
    name: 'a step of decoding costs the base and each sequence',
    work: { prefillTokens: 0, decodeSequences: 8 },
    want: 14,
  },
  {
    name: 'a step of prompts costs the base and the tokens',
    work: { prefillTokens: 100, decodeSequences: 0 },
    want: 60,
  },
  { name: 'a mixed step costs both', work: { prefillTokens: 100, decodeSequences: 8 }, want: 64 },
])('$name', ({ work, want }) => {
  expect(stepDurationMs(time, work, 1)).toBeCloseTo(want, 9);
  expect(stepDurationMs(time, work, 3)).toBeCloseTo(3 * want, 9);
  expect(stepDurationMs(sped(time, 10), work, 1)).toBeCloseTo(want / 10, 9);
});

test('zero everywhere is an engine without work, whatever the speed', () => {
  const none = sped({ prefillTokensPerSecond: 0, decodeBaseMs: 0, decodePerSequenceMs: 0 }, 5);
  expect(stepDurationMs(none, { prefillTokens: 4_000, decodeSequences: 200 }, 7)).toBe(0);
});
