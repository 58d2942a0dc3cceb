import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digests } from '../../../../src/batch/adapters/files/digests.ts';
import { joinsToUtf8, type TextEdges } from '../../../../src/batch/policy/files/text-edges.ts';

function edgesOf(part: Uint8Array, chunkBytes: number): TextEdges {
  const watch = digests.watch();
  for (let at = 0; at < part.length; at += chunkBytes) watch.update(part.subarray(at, at + chunkBytes));
  return watch.end().edges;
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, n) => bytes.subarray(places[n], end));
}

/** Text, text with a damaged byte, and noise. */
const someBytes = fc.oneof(
  fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text)),
  fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
    const bytes = Buffer.from(text);
    bytes[at % bytes.length] = byte;
    return bytes;
  }),
  fc
    .array(fc.constantFrom(0x61, 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff))
    .map((all) => Buffer.from(all)),
);

describe('UTF-8 in parts', () => {
  test('is what it is as a whole, wherever the parts and their chunks are cut', () => {
    fc.assert(
      fc.property(
        someBytes,
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        (bytes, cuts, chunk) => {
          const parts = split(bytes, cuts).filter(({ length }) => length > 0);
          expect(joinsToUtf8(parts.map((part) => edgesOf(part, chunk)))).toBe(isUtf8(bytes));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('of single bytes', () => {
    const bytes = Buffer.from('a€😀é');
    expect(joinsToUtf8([...bytes].map((byte) => edgesOf(Uint8Array.of(byte), 1)))).toBe(true);
    expect(joinsToUtf8([...bytes].slice(0, -1).map((byte) => edgesOf(Uint8Array.of(byte), 1)))).toBe(false);
  });
});
