import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BLOCK_CHARS,
  blockHashes,
  capacityBlocks,
  DEFAULT_CAPACITY_BLOCKS,
  MAX_BLOCKS,
  PrefixIndex,
} from '../../../src/picker/policy/prefix-index.ts';
import { testHash } from './support.ts';

const hashes = (prompt: string, seed = 'tiny\n'): readonly number[] => blockHashes(testHash, seed, prompt);
const block = (letter: string): string => letter.repeat(BLOCK_CHARS);

describe('blockHashes', () => {
  test('full blocks only; a prompt shorter than one has none', () => {
    expect(hashes('short')).toEqual([]);
    expect(hashes(block('a'))).toHaveLength(1);
    expect(hashes(`${block('a')}${block('b')}rest`)).toHaveLength(2);
  });

  test('a hash stands for everything before it', () => {
    const [, second] = hashes(block('a') + block('b'));
    const [, other] = hashes(block('x') + block('b'));
    expect(second).not.toBe(other);
  });

  test('another model or adapter shares nothing', () => {
    expect(hashes(block('a'), 'tiny\n')).not.toEqual(hashes(block('a'), 'tiny\nlora-a'));
  });

  test('a very long prompt is compared up to the limit', () => {
    expect(hashes('x'.repeat(BLOCK_CHARS * (MAX_BLOCKS + 5)))).toHaveLength(MAX_BLOCKS);
  });

  test('prompts with a common start share exactly its blocks', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(3), fc.nat(3), (common, left, right) => {
        const start = block('s').repeat(common);
        const a = hashes(start + block('a').repeat(left));
        const b = hashes(start + block('b').repeat(right));
        const index = new PrefixIndex();
        index.add(a);
        expect(index.matched(b)).toBe(common);
        expect(index.matched(a)).toBe(a.length);
      }),
    );
  });
});

describe('PrefixIndex', () => {
  test('never holds more than its capacity and forgets the least recently used', () => {
    const index = new PrefixIndex();
    index.setCapacity(2);
    index.add([1]);
    index.add([2]);
    index.add([1]);
    index.add([3]);
    expect(index.size).toBe(2);
    expect([index.matched([1]), index.matched([2]), index.matched([3])]).toEqual([1, 0, 1]);
  });

  test('a chain loses its tail before its start', () => {
    const index = new PrefixIndex();
    index.setCapacity(2);
    index.add([1, 2, 3]);
    expect(index.matched([1, 2, 3])).toBe(2);
  });

  test('stays exact over many evictions', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(9), { maxLength: 200 }), (capacity, used) => {
        const index = new PrefixIndex();
        index.setCapacity(capacity);
        for (const hash of used) index.add([hash]);
        const newest = [...new Set(used.toReversed())].slice(0, capacity);
        const known = Array.from({ length: 10 }, (_, hash) => hash).filter((hash) => index.matched([hash]) === 1);
        expect(known).toEqual(newest.toSorted((a, b) => a - b));
      }),
    );
  });

  test('a smaller capacity takes effect at once', () => {
    const index = new PrefixIndex();
    index.add([1, 2, 3]);
    index.setCapacity(1);
    expect(index.size).toBe(1);
  });
});

test.each([
  { name: 'as the engine reports it', blockSize: 128, blocks: 16_384, want: 32_768 },
  { name: 'the default when it does not', blockSize: undefined, blocks: 16_384, want: DEFAULT_CAPACITY_BLOCKS },
  { name: 'bounded above', blockSize: 128, blocks: 1e9, want: 131_072 },
  { name: 'at least one', blockSize: 16, blocks: 1, want: 1 },
])('capacity: $name', ({ blockSize, blocks, want }) => {
  expect(capacityBlocks(blockSize, blocks)).toBe(want);
});
