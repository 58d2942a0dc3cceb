import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineHeap } from '../../../../src/batch/policy/finalise/line-heap.ts';
import { planReads, runsOf, type Wanted } from '../../../../src/batch/policy/finalise/read-plan.ts';

const anyWanted: fc.Arbitrary<Wanted> = fc.record({
  source: fc.constantFrom('a', 'b'),
  offsetBytes: fc.nat(20_000_000),
  lengthBytes: fc.integer({ min: 1, max: 300_000 }),
});

describe('reads of pieces that lie apart', () => {
  it('cover each piece exactly once, whole', () => {
    fc.assert(
      fc.property(fc.array(anyWanted, { maxLength: 60 }), (wanted) => {
        const spans = planReads(wanted);
        expect(spans.flatMap((span) => span.wanted).toSorted((a, b) => a - b)).toEqual(wanted.map((_, index) => index));
        for (const span of spans) {
          for (const index of span.wanted) {
            const piece = wanted[index]!;
            expect(piece.source).toBe(span.source);
            expect(piece.offsetBytes).toBeGreaterThanOrEqual(span.firstByte);
            expect(piece.offsetBytes + piece.lengthBytes - 1).toBeLessThanOrEqual(span.lastByte);
          }
        }
      }),
    );
  });

  it('take neighbours together, and not what lies far away or in another blob', () => {
    const at = (source: string, offsetBytes: number): Wanted => ({ source, offsetBytes, lengthBytes: 100 });
    const spans = planReads([at('a', 100), at('b', 0), at('a', 0), at('a', 5_000_000), at('a', 16_000)]);
    expect(spans.map(({ source, wanted }) => [source, wanted])).toEqual([
      ['a', [2, 0, 4]],
      ['a', [3]],
      ['b', [1]],
    ]);
  });
});

describe('runs of pieces', () => {
  it('keep the order and both limits', () => {
    fc.assert(
      fc.property(fc.array(anyWanted, { maxLength: 60 }), (wanted) => {
        const runs = runsOf(wanted, 500_000, 5);
        expect(runs.flat()).toEqual(wanted);
        for (const run of runs) {
          expect(run.length).toBeLessThanOrEqual(5);
          const bytes = run.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
          expect(bytes <= 500_000 || run.length === 1).toBe(true);
        }
      }),
    );
  });
});

describe('a heap of lines', () => {
  it('merges sorted lists', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 20 }), { maxLength: 12 }), (lists) => {
        const heap = new LineHeap<number[]>();
        const sorted = lists.map((list) => list.toSorted((a, b) => a - b));
        for (const list of sorted) heap.add(list[0] ?? 0, [...list]);
        const merged: number[] = [];
        for (let list = heap.first; list; list = heap.first) {
          merged.push(list.shift()!);
          heap.moveFirst(list[0] ?? null);
        }
        expect(merged).toEqual(lists.flat().toSorted((a, b) => a - b));
      }),
    );
  });
});
