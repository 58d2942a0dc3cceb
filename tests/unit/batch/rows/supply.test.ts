import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkLanes, chunkPointer, parseChunkPointer } from '../../../../src/batch/policy/rows/chunks.ts';
import { LaneBook, WAITING_CHUNKS } from '../../../../src/batch/policy/rows/lane-book.ts';
import { readBlocks } from '../../../../src/batch/policy/rows/coalesce.ts';
import { MemorySupplyBook } from '../../../../src/batch/rows/memory-supply-book.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const PLACE = { pool: 'default/chat', objective: 'nightly', tenant: 'a' };

describe('chunks', () => {
  test('have every runnable place once, in plan order, none of two groups', () => {
    const sizes = fc.array(fc.nat(2_000), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 10, max: 700 }), (rowsOf, chunkRows) => {
        let firstPlace = 0;
        const groups = rowsOf.map((rows, index) => {
          const group = {
            pool: 'p',
            objective: `o${index % 2}`,
            firstPlace,
            rows,
            inputTokens: rows,
            maxOutputTokens: rows,
          };
          firstPlace += rows;
          return group;
        });
        const seen = chunkLanes('batch_1', groups, chunkRows).flatMap((lane) =>
          lane.chunks.flatMap(({ firstPlace: first, rows }) => {
            expect(rows).toBeLessThanOrEqual(chunkRows);
            const group = groups.find((one) => first >= one.firstPlace && first < one.firstPlace + one.rows);
            expect(group?.objective).toBe(lane.objective);
            expect(first + rows).toBeLessThanOrEqual((group?.firstPlace ?? 0) + (group?.rows ?? 0));
            return Array.from({ length: rows }, (_, index) => first + index);
          }),
        );
        expect(seen.sort((one, other) => one - other)).toEqual(Array.from({ length: firstPlace }, (_, index) => index));
      }),
      { numRuns: 50 },
    );
  });

  test('are pointed at by a text that is read back, and by no other', () => {
    const pointer = { batchId: 'batch_1', firstPlace: 500, rows: 20, tag: 7 };
    expect(parseChunkPointer(chunkPointer(pointer))).toEqual(pointer);
    for (const text of ['', 'batch_1', 'batch_1/1', 'batch_1/1/0/1', 'a/b/1/1/1', 'batch_1/-1/5/1']) {
      expect(parseChunkPointer(text)).toBeUndefined();
    }
  });
});

test('a book never lets more chunks wait than it should, and is done when each chunk is', () => {
  const chunks = Array.from({ length: 12 }, (_, index) => ({
    id: `c${index}`,
    firstPlace: index * 10,
    rows: 10,
    costTokens: 1,
  }));
  const news = fc.array(fc.tuple(fc.nat(11), fc.constantFrom('open' as const, 'unknown' as const, 'done' as const)));
  fc.assert(
    fc.property(news, (steps) => {
      const book = new LaneBook(chunks);
      const done = new Set<number>();
      let nowMs = 0;
      const settle = (place: number, state: 'open' | 'unknown' | 'done'): void => {
        book.set(place * 10, state, nowMs);
        if (state === 'done') done.add(place * 10);
      };
      const fill = (): void => {
        while (book.mayAdd) {
          const chunk = book.next(nowMs);
          if (!chunk) break;
          expect(done.has(chunk.firstPlace)).toBe(false);
          book.set(chunk.firstPlace, 'waiting', nowMs);
        }
        expect(book.in('waiting').length).toBeLessThanOrEqual(WAITING_CHUNKS);
      };
      for (const [place, state] of steps) {
        fill();
        settle(place, state);
        nowMs += 300;
      }
      for (let place = 0; place < 12; place += 1) settle(place, 'done');
      expect(book.isDone).toBe(true);
      expect(book.next(nowMs + 10_000)).toBeUndefined();
    }),
  );
});

describe('turns', () => {
  test('go to the earliest deadline of a tenant, and to the next one when it has left', async () => {
    const book = new MemorySupplyBook(new FakeClock());
    const wish = (batchId: string, deadlineEpochMs: number) => ({ batchId, deadlineEpochMs, costTokens: 1, weight: 1 });
    await book.turn(PLACE, wish('soon', 10));
    expect(await book.turn(PLACE, wish('later', 20))).toBeNull();
    expect(await book.turn({ ...PLACE, tenant: 'b' }, wish('other', 99))).not.toBeNull();
    await book.leave(PLACE, 'soon');
    expect(await book.turn(PLACE, wish('later', 20))).not.toBeNull();
    expect(await book.turn(PLACE, wish('soon', 10))).not.toBeNull();
    expect(await book.turn(PLACE, wish('later', 20))).toBeNull();
  });

  test('do not wait for a batch whose keeper is gone', async () => {
    const clock = new FakeClock();
    const book = new MemorySupplyBook(clock);
    const wish = (batchId: string, deadlineEpochMs: number) => ({ batchId, deadlineEpochMs, costTokens: 1, weight: 1 });
    await book.turn(PLACE, wish('gone', 10));
    clock.freeze(16_000);
    expect(await book.turn(PLACE, wish('here', 20))).not.toBeNull();
  });

  test('share a queue between tenants by weight and tokens, within one chunk each', async () => {
    const shape = fc.array(
      fc.record({ weight: fc.integer({ min: 1, max: 4 }), costTokens: fc.integer({ min: 1_000, max: 50_000 }) }),
      {
        minLength: 2,
        maxLength: 5,
      },
    );
    await fc.assert(
      fc.asyncProperty(shape, async (tenants) => {
        const book = new MemorySupplyBook(new FakeClock());
        const served = tenants.map(() => 0);
        const waiting: { tenant: number; tag: number }[] = [];
        const add = async (tenant: number): Promise<void> => {
          const { weight = 1, costTokens = 1 } = tenants[tenant] ?? {};
          const wish = { batchId: `b${tenant}`, deadlineEpochMs: 1, costTokens, weight };
          waiting.push({ tenant, tag: (await book.turn({ ...PLACE, tenant: `t${tenant}` }, wish)) ?? 0 });
        };
        for (let tenant = 0; tenant < tenants.length; tenant += 1) await add(tenant);
        for (let turn = 0; turn < 300; turn += 1) {
          const next = waiting.sort((one, other) => one.tag - other.tag).shift();
          if (!next) break;
          await book.opened(PLACE.pool, PLACE.objective, next.tag);
          served[next.tenant] = (served[next.tenant] ?? 0) + (tenants[next.tenant]?.costTokens ?? 0);
          await add(next.tenant);
        }
        const shares = served.map((tokens, tenant) => tokens / (tenants[tenant]?.weight ?? 1));
        const largest = Math.max(...tenants.map(({ costTokens, weight }) => costTokens / weight));
        // SFQ: two tenants that always have work differ by at most one chunk of each; a tag is cut to whole units.
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * largest + 2_000);
      }),
      { numRuns: 40 },
    );
  });
});

test('rows are read in blocks that have each of them once', () => {
  const row = fc.record({ gapBytes: fc.nat(200_000), lengthBytes: fc.integer({ min: 1, max: 300_000 }) });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 40 }), (gaps) => {
      let offsetBytes = 0;
      const rows = gaps.map(({ gapBytes, lengthBytes }) => {
        const one = { offsetBytes: offsetBytes + gapBytes, lengthBytes };
        offsetBytes = one.offsetBytes + lengthBytes;
        return one;
      });
      const blocks = readBlocks(rows, 262_144);
      expect(blocks.flatMap((block) => block.rows)).toEqual(rows);
      for (const block of blocks) {
        if (block.rows.length > 1) expect(block.lastByte - block.firstByte + 1).toBeLessThanOrEqual(262_144);
        for (const one of block.rows) {
          expect(one.offsetBytes).toBeGreaterThanOrEqual(block.firstByte);
          expect(one.offsetBytes + one.lengthBytes - 1).toBeLessThanOrEqual(block.lastByte);
        }
      }
    }),
  );
});
