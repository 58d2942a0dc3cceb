import fc from 'fast-check';
import { expect, test } from 'vitest';
import { slicesOf } from '../../../../src/batch/policy/files/byte-parts.ts';

test('slices of parts are the range of the whole, and no slice is empty', () => {
  const parts = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(parts, fc.nat(40), fc.nat(40), (texts, firstByte, length) => {
      const whole = texts.join('');
      const range = { firstByte, lastByte: firstByte + length };
      const stored = texts.map((text, n) => ({ key: String(n), bytes: text.length }));
      const slices = slicesOf(stored, range);
      const read = slices.map((slice) => {
        const text = texts[Number(slice.key)]!;
        return slice.range ? text.slice(slice.range.firstByte, slice.range.lastByte + 1) : text;
      });
      expect(read.join('')).toBe(whole.slice(range.firstByte, range.lastByte + 1));
      expect(read.map((text) => text.length)).toEqual(slices.map(({ bytes }) => bytes));
      expect(slices.every(({ bytes }) => bytes > 0)).toBe(true);
      expect(slicesOf(stored, null).map(({ key }) => key)).toEqual(stored.map(({ key }) => key));
    }),
  );
});
