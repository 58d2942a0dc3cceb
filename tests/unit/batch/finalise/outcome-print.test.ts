import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutcomePrint, type RowOutcome } from '../../../../src/batch/policy/finalise/outcome-print.ts';

const record = fc.record({
  key: fc.constantFrom('batches/b/rows/1/a.seg', 'batches/b/rows/2/a.seg'),
  offsetBytes: fc.integer({ min: 0, max: 2 ** 40 }),
  lengthBytes: fc.integer({ min: 1, max: 2 ** 31 }),
});
const outcomes = fc
  .array(
    fc.record({ state: fc.constantFrom('completed', 'failed', 'expired'), record: fc.option(record, { nil: null }) }),
    { minLength: 1, maxLength: 30 },
  )
  .map((rows) => rows.map((row, place) => ({ ...row, place })));

function printOf(rows: readonly RowOutcome[]): string {
  const print = new OutcomePrint();
  for (const row of rows) print.add(row);
  return print.text;
}

describe('the print of an outcome', () => {
  it('is the same in any order of the rows', () => {
    fc.assert(
      fc.property(outcomes, fc.nat(), (rows, turn) => {
        const first = turn % rows.length;
        const turned = [...rows.slice(first), ...rows.slice(0, first).reverse()];
        expect(printOf(turned)).toBe(printOf(rows));
      }),
    );
  });

  it('is another one when any row ended otherwise', () => {
    fc.assert(
      fc.property(outcomes, fc.nat(), outcomes, (rows, choice, others) => {
        const place = choice % rows.length;
        const [other] = others;
        const changed = rows.map((row) => (row.place === place && other ? { ...other, place } : row));
        fc.pre(JSON.stringify(changed) !== JSON.stringify(rows));
        expect(printOf(changed)).not.toBe(printOf(rows));
      }),
    );
  });

  it('is another one when two rows change places, or one record is moved by a byte', () => {
    const at = (offsetBytes: number) => ({ key: 'k', offsetBytes, lengthBytes: 5 });
    const rows = [0, 1].map((place) => ({ place, state: 'completed', record: at(place * 5) }));
    const swapped = [0, 1].map((place) => ({ place, state: 'completed', record: at(5 - place * 5) }));
    const moved = [0, 1].map((place) => ({ place, state: 'completed', record: at(place * 6) }));
    expect(new Set([rows, swapped, moved].map(printOf)).size).toBe(3);
  });
});
