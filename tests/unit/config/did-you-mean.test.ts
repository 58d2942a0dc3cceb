import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closest, suggestion } from '../../../src/config/did-you-mean.ts';

test.each([
  { name: 'two letters swapped', word: 'prot', candidates: ['host', 'port'], want: 'port' },
  { name: 'a letter missing', word: 'weigt', candidates: ['weight', 'width'], want: 'weight' },
  { name: 'another case', word: 'maxhold', candidates: ['maxHold'], want: 'maxHold' },
  { name: 'nothing near', word: 'colour', candidates: ['port', 'host'], want: undefined },
  { name: 'a short word that is merely short', word: 'ab', candidates: ['cd'], want: undefined },
])('closest: $name', ({ word, candidates, want }) => {
  expect(closest(word, candidates)).toBe(want);
});

test('without a near candidate, what is allowed is listed', () => {
  expect(suggestion('colour', ['port', 'host'])).toBe('allowed here: host, port');
  expect(suggestion('colour', [])).toBe('remove it');
});

test('a candidate is always closest to itself, and one dropped letter of a long word does not hide it', () => {
  const words = fc.uniqueArray(fc.stringMatching(/^[a-z]{6,12}$/), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(words, fc.nat(), fc.nat(), (candidates, pick, drop) => {
      const word = candidates[pick % candidates.length]!;
      expect(closest(word, candidates)).toBe(word);
      const at = drop % word.length;
      const slip = word.slice(0, at) + word.slice(at + 1);
      expect(closest(slip, [word])).toBe(word);
    }),
  );
});
