import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inParts } from '../../../../src/platform/blobs/s3/parts.ts';

async function* chunksOf(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let next = 0;
  for (const size of sizes) yield await Promise.resolve(Uint8Array.from({ length: size }, () => (next += 1) & 0xff));
}

describe('parts of an upload', () => {
  test('hold the same bytes whatever pieces they came in, all of one size but the last', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 200 }), { maxLength: 30 }),
        fc.integer({ min: 1, max: 150 }),
        async (sizes, partBytes) => {
          const parts = [];
          for await (const { bytes, isLast } of inParts(chunksOf(sizes), partBytes)) {
            parts.push({ bytes: Buffer.from(bytes), isLast });
          }
          const total = sizes.reduce((sum, size) => sum + size, 0);
          const joined = Buffer.concat(parts.map(({ bytes }) => bytes));
          expect(joined).toEqual(Buffer.from(Uint8Array.from({ length: total }, (_, index) => (index + 1) & 0xff)));
          expect(parts.map(({ isLast }) => isLast)).toEqual(parts.map((_, index) => index === parts.length - 1));
          expect(parts).toHaveLength(Math.max(1, Math.ceil(total / partBytes)));
          for (const { bytes, isLast } of parts) if (!isLast) expect(bytes).toHaveLength(partBytes);
        },
      ),
    );
  });
});
