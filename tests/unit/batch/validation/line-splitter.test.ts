import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter } from '../../../../src/batch/policy/validation/line-splitter.ts';

const utf8 = new TextEncoder();

/** What comes out, with the bytes as text. */
function split(
  chunks: readonly Uint8Array[],
  maxLineBytes = 1_000,
): (readonly [number, number, number, string | null])[] {
  const splitter = new LineSplitter(maxLineBytes);
  const lines: (readonly [number, number, number, string | null])[] = [];
  const take = (from: ReturnType<LineSplitter['push']>): void => {
    for (const { line, offsetBytes, lengthBytes, bytes } of from) {
      lines.push([line, offsetBytes, lengthBytes, bytes && Buffer.from(bytes).toString('latin1')]);
    }
  };
  for (const chunk of chunks) take(splitter.push(chunk));
  take(splitter.end());
  return lines;
}

describe('a file is cut into lines', () => {
  it.each([
    ['an empty file', '', []],
    ['a last line without a line break', 'a\nbc', ['a', 'bc']],
    ['a last line with one', 'a\nbc\n', ['a', 'bc']],
    ['line breaks of Windows', 'a\r\nbc\r\n', ['a', 'bc']],
    ['a carriage return within a line', 'a\rb\n', ['a\rb']],
    ['a byte order mark', '\u{feff}a\nb', ['a', 'b']],
    ['a byte order mark later on', 'a\n\u{feff}b', ['a', '\u00ef\u00bb\u00bfb']],
    ['empty lines', '\n\na\n\n', ['', '', 'a', '']],
  ])('%s', (_name, text, lines) => {
    expect(split([utf8.encode(text)]).map(([, , , bytes]) => bytes)).toEqual(lines);
  });

  it('tells where each line lies', () => {
    const bytes = utf8.encode('\u{feff}ab\r\nc\n');
    expect(split([bytes])).toEqual([
      [0, 3, 2, 'ab'],
      [1, 7, 1, 'c'],
    ]);
  });

  it('gives the same for any chunks', () => {
    const piece = fc.constantFrom('a', 'bcd', '\n', '\r\n', '\r', '\u{feff}', 'é', 'x'.repeat(12));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(9), { maxLength: 80 }), (pieces, cuts) => {
        const whole = utf8.encode(pieces.join(''));
        const chunks: Uint8Array[] = [];
        let from = 0;
        for (const cut of cuts) {
          chunks.push(whole.subarray(from, from + cut));
          from = Math.min(whole.length, from + cut);
        }
        chunks.push(whole.subarray(from));
        expect(split(chunks, 10)).toEqual(split([whole], 10));
      }),
    );
  });

  it('keeps the longest allowed line and nothing of a longer one', () => {
    expect(split([utf8.encode(`${'x'.repeat(10)}\r\n${'y'.repeat(11)}\nz`)], 10)).toEqual([
      [0, 0, 10, 'x'.repeat(10)],
      [1, 12, 11, null],
      [2, 24, 1, 'z'],
    ]);
  });

  it('counts a line that does not end without keeping it', () => {
    const splitter = new LineSplitter(10);
    const chunk = new Uint8Array(65_536).fill(0x61);
    for (let times = 0; times < 1_000; times += 1) expect([...splitter.push(chunk)]).toEqual([]);
    expect(splitter.openLineBytes).toBe(65_536_000);
  });
});
