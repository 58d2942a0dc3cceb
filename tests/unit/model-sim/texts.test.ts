import fc from 'fast-check';
import { expect, test } from 'vitest';
import { simulatedEmbedding } from '../../../src/model-sim/policy/embedding.ts';
import { fillerText } from '../../../src/model-sim/policy/filler-text.ts';
import { outputLength } from '../../../src/model-sim/policy/output-length.ts';
import { blockHashes, hashPrompt, promptTokens, renderChat } from '../../../src/model-sim/policy/prompt.ts';
import { EMPTY_HASH, hash32, hashKey, hashText } from '../../../src/model-sim/policy/text-hash.ts';

const seed32 = fc.integer({ min: 0, max: 0xffff_ffff });

test('a text is the sum of its parts, whatever the cuts, and needs no escaping in JSON', () => {
  fc.assert(
    fc.property(seed32, fc.nat(60), fc.nat(60), (seed, cut, more) => {
      const whole = fillerText(seed, 0, cut + more);
      expect(fillerText(seed, 0, cut) + fillerText(seed, cut, cut + more)).toBe(whole);
      expect(JSON.stringify(whole)).toBe(`"${whole}"`);
    }),
  );
});

test('a text begins by saying what it is, and differs from seed to seed', () => {
  expect(fillerText(0xab, 0, 6)).toBe('Simulated text from pilotlight model-sim 000000ab:');
  expect(fillerText(1, 6, 40)).not.toBe(fillerText(2, 6, 40));
});

test('four characters are one token and token ids are one each', () => {
  expect(promptTokens({ kind: 'text', text: 'abcd'.repeat(10) })).toBe(10);
  expect(promptTokens({ kind: 'text', text: 'abcde' })).toBe(2);
  expect(promptTokens({ kind: 'ids', ids: [5, 6, 7] })).toBe(3);
});

test('a chat that grows by a turn shares the blocks of its beginning', () => {
  const turns = [
    { role: 'system', text: 'x'.repeat(100) },
    { role: 'user', text: 'y'.repeat(100) },
  ];
  const before = blockHashes(renderChat(turns), 4, null);
  const after = blockHashes(renderChat([...turns, { role: 'assistant', text: 'z'.repeat(40) }]), 4, null);
  const shared = before.filter((hash, block) => after[block] === hash).length;
  expect(shared).toBeGreaterThanOrEqual(before.length - 1);
});

test('block hashes depend on everything before the block and on the adapter', () => {
  const prompt = (text: string) => ({ kind: 'text' as const, text });
  const plain = blockHashes(prompt('a'.repeat(64)), 4, null);
  expect(plain).toHaveLength(4);
  expect(new Set(plain).size).toBe(4);
  expect(blockHashes(prompt(`b${'a'.repeat(63)}`), 4, null)[3]).not.toBe(plain[3]);
  expect(blockHashes(prompt('a'.repeat(64)), 4, 'lora')[0]).not.toBe(plain[0]);
  const ids = { kind: 'ids' as const, ids: [1, 2, 3, 4, 5] };
  expect(blockHashes(ids, 2, null)).toHaveLength(2);
});

test('keys of a hundred thousand different texts do not collide', () => {
  const keys = new Set(Array.from({ length: 100_000 }, (_, index) => hashKey(hashText(EMPTY_HASH, `text ${index}`))));
  expect(keys.size).toBe(100_000);
});

test('an embedding has length 1 and its dimensions, and is the same for the same seed', () => {
  fc.assert(
    fc.property(seed32, fc.integer({ min: 1, max: 200 }), (seed, dimensions) => {
      const vector = simulatedEmbedding(seed, dimensions);
      expect(vector).toHaveLength(dimensions);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
      expect(simulatedEmbedding(seed, dimensions)).toEqual(vector);
    }),
  );
});

test('output lengths keep their bounds, and ignore_eos fixes them', () => {
  fc.assert(
    fc.property(seed32, fc.integer({ min: 1, max: 500 }), fc.nat(100), (seed, maxTokens, wanted) => {
      const minTokens = Math.min(wanted, maxTokens);
      const drawn = outputLength({ maxTokens, minTokens, ignoreEos: false }, 129, seed);
      expect(drawn.tokens).toBeGreaterThanOrEqual(Math.max(1, minTokens));
      expect(drawn.tokens).toBeLessThanOrEqual(maxTokens);
      if (drawn.tokens < maxTokens) expect(drawn.endsBy).toBe('stop');
      expect(outputLength({ maxTokens, minTokens, ignoreEos: true }, 129, seed)).toEqual({
        tokens: maxTokens,
        endsBy: 'length',
      });
    }),
  );
});

test('drawn lengths have the median asked for and the spread of the Azure trace', () => {
  const lengths = Array.from({ length: 20_000 }, (_, index) => {
    const seed = hash32(hashPrompt({ kind: 'text', text: `prompt ${index}` }));
    return outputLength({ maxTokens: 1e9, minTokens: 0, ignoreEos: false }, 129, seed).tokens;
  }).sort((a, b) => a - b);
  expect(lengths[10_000]).toBeGreaterThan(123);
  expect(lengths[10_000]).toBeLessThan(135);
  expect(lengths[18_000]).toBeGreaterThan(129 * Math.exp(0.8 * 1.2816) * 0.95);
  expect(lengths[18_000]).toBeLessThan(129 * Math.exp(0.8 * 1.2816) * 1.05);
});
