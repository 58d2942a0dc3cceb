import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type FairClock,
  fairTurn,
  GENERATION_TAGS,
  isGenerationOver,
  LAST_TAG,
  tagOf,
  timeAfter,
} from '../../../../src/core/fair-tag.ts';

interface Item {
  readonly tenant: string;
  readonly start: number;
  readonly place: number;
}

/** One queue as the backlog is: lowest tag first, then by arrival. */
class Queue {
  readonly #finishOf = new Map<string, number>();
  readonly #items: Item[] = [];
  #virtualTime = 0;
  #base = 0;
  #places = 0;
  rollOvers = 0;

  add(tenant: string, costTokens: number, weight = 1): void {
    const clock: FairClock = { virtualTime: this.#virtualTime, finishOf: this.#finishOf };
    const { start, finish } = fairTurn(clock, tenant, costTokens, weight);
    this.#finishOf.set(tenant, finish);
    const item = { tenant, start, place: this.#places };
    this.#places += 1;
    let [low, high] = [0, this.#items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tag(this.#items[middle] as Item) <= this.#tag(item)) low = middle + 1;
      else high = middle;
    }
    this.#items.splice(low, 0, item);
  }

  take(): Item | undefined {
    const item = this.#items.shift();
    if (!item) return undefined;
    this.#virtualTime = timeAfter(this.#virtualTime, 1 + Math.floor(item.start));
    if (isGenerationOver(this.#virtualTime, this.#base)) {
      this.#base += GENERATION_TAGS;
      this.rollOvers += 1;
      this.#items.sort((a, b) => this.#tag(a) - this.#tag(b) || a.start - b.start || a.place - b.place);
    }
    return item;
  }

  #tag({ start }: Item): number {
    return tagOf(start, this.#base);
  }
}

test('one job of a tenant starts within its share, however many of another wait', () => {
  const queue = new Queue();
  for (let job = 0; job < 200_000; job += 1) queue.add('crowd', 5_000);
  for (let taken = 0; taken < 1_000; taken += 1) queue.take();
  queue.add('single', 5_000);
  const next = Array.from({ length: 3 }, () => queue.take()?.tenant);
  expect(next).toContain('single');
});

test('tenants get tokens by their weights, 1:1:3, while all of them wait', () => {
  const queue = new Queue();
  const weights = { a: 1, b: 1, c: 3 } as const;
  for (const [tenant, weight] of Object.entries(weights)) {
    for (let job = 0; job < 3_000; job += 1) queue.add(tenant, tenant === 'b' ? 500 : 2_000, weight);
  }
  const tokens: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let taken = 0; taken < 3_000; taken += 1) {
    const tenant = queue.take()?.tenant ?? '';
    // Units are rounded up to a thousand tokens.
    tokens[tenant] = (tokens[tenant] ?? 0) + (tenant === 'b' ? 1_000 : 2_000);
  }
  expect((tokens['c'] ?? 0) / (tokens['a'] ?? 1)).toBeCloseTo(3, 1);
  expect((tokens['b'] ?? 0) / (tokens['a'] ?? 1)).toBeCloseTo(1, 1);
});

describe('generations', () => {
  test('tags stay in order and within what BullMQ takes, however large the virtual time is', () => {
    fc.assert(
      fc.property(fc.nat(5e9), fc.nat(5e9), fc.nat(2_000), (one, other, generation) => {
        const base = generation * GENERATION_TAGS;
        const [low, high] = [tagOf(Math.min(one, other), base), tagOf(Math.max(one, other), base)];
        expect(low).toBeLessThanOrEqual(high);
        expect(low).toBeGreaterThanOrEqual(1);
        expect(high).toBeLessThanOrEqual(LAST_TAG);
      }),
    );
  });

  test('a queue that is never empty goes on being fair from one generation to the next', () => {
    const queue = new Queue();
    const cost = 50_000_000;
    const tokens = { a: 0, b: 0 };
    for (let job = 0; job < 30; job += 1) queue.add('a', cost);
    for (let turn = 0; turn < 400; turn += 1) {
      queue.add('a', cost);
      queue.add('b', cost);
      const item = queue.take();
      if (item) tokens[item.tenant as 'a' | 'b'] += 1;
    }
    expect(queue.rollOvers).toBeGreaterThan(5);
    expect(Math.abs(tokens.a - tokens.b)).toBeLessThanOrEqual(2);
  });

  test('what was clamped at the last tag is in order again after the roll-over', () => {
    const queue = new Queue();
    for (let job = 0; job < 60; job += 1) queue.add('far', 100_000_000);
    for (let job = 0; job < 12; job += 1) queue.add('near', 100_000_000);
    const order = Array.from({ length: 72 }, () => queue.take()?.tenant);
    expect(order.slice(0, 24).filter((tenant) => tenant === 'near')).toHaveLength(12);
  });
});
