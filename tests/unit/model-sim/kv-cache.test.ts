import { expect, test } from 'vitest';
import { KvCache } from '../../../src/model-sim/policy/kv-cache.ts';

test('a published block is shared by the next prompt that begins with it', () => {
  const kv = new KvCache(10);
  const first = kv.open([1, 2, 3], 3);
  expect(kv.grow(first, 4)).toBe(true);
  kv.publish(first, 3);
  const second = kv.open([1, 2, 9], 3);
  expect(second.sharedBlocks).toBe(2);
  expect(kv.grow(second, 4)).toBe(true);
  expect(kv.usedBlocks).toBe(6);
});

test('blocks of a closed sequence stay cached but count as free', () => {
  const kv = new KvCache(4);
  const allocation = kv.open([1, 2], 2);
  kv.grow(allocation, 4);
  kv.publish(allocation, 2);
  kv.close(allocation);
  expect([kv.usedBlocks, kv.cachedBlocks, kv.usageRatio]).toEqual([0, 2, 0]);
  expect(kv.open([1, 2], 2).sharedBlocks).toBe(2);
});

test('the least recently used blocks are evicted first, of one prompt the tail', () => {
  const kv = new KvCache(4);
  for (const hashes of [
    [1, 2],
    [3, 4],
  ]) {
    const allocation = kv.open(hashes, 2);
    kv.grow(allocation, 2);
    kv.publish(allocation, 2);
    kv.close(allocation);
  }
  const newcomer = kv.open([], 0);
  expect(kv.grow(newcomer, 1)).toBe(true);
  expect(kv.open([1, 2], 2).sharedBlocks).toBe(1);
  expect(kv.open([3, 4], 2).sharedBlocks).toBe(2);
});

test('growing beyond what is free changes nothing', () => {
  const kv = new KvCache(3);
  const first = kv.open([], 0);
  kv.grow(first, 2);
  const second = kv.open([], 0);
  expect(kv.grow(second, 2)).toBe(false);
  expect([kv.usedBlocks, second.privateBlocks]).toEqual([2, 0]);
});

test('a block that two sequences computed at once is kept once', () => {
  const kv = new KvCache(4);
  const [first, second] = [kv.open([7], 1), kv.open([7], 1)];
  kv.grow(first, 1);
  kv.grow(second, 1);
  expect(kv.usedBlocks).toBe(2);
  kv.publish(first, 1);
  kv.publish(second, 1);
  expect(kv.usedBlocks).toBe(1);
  kv.close(first);
  kv.close(second);
  expect([kv.usedBlocks, kv.cachedBlocks]).toEqual([0, 1]);
});
