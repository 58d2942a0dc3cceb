import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PLAN_ENTRY_BYTES,
  NO_GROUP,
  readPlanEntries,
  writePlanEntry,
} from '../../../../src/batch/policy/plan-entry.ts';
import { ErrorList } from '../../../../src/batch/policy/validation/error-list.ts';
import { IdTable } from '../../../../src/batch/policy/validation/id-table.ts';
import { parseJsonLine } from '../../../../src/batch/policy/validation/json-line.ts';
import { readLineSet } from '../../../../src/batch/policy/validation/line-set.ts';
import { PlanTable } from '../../../../src/batch/policy/validation/plan-table.ts';
import { planEntry } from '../support/plan-entries.ts';

const utf8 = new TextEncoder();
const LIMITS = { depth: 128, parts: 250_000 };

function whyWrong(bytes: Uint8Array): string {
  const parsed = parseJsonLine(bytes, LIMITS);
  return parsed.kind === 'wrong' ? `${parsed.problem.code}: ${parsed.problem.message}` : 'it is right';
}

describe('the JSON of a line', () => {
  it.each<[string, string | Uint8Array, RegExp]>([
    ['no JSON', '{"a":', /not parseable as valid JSON: wrong/],
    ['a NUL byte', '{"a":"\0"}', /NUL character/],
    ['torn UTF-8', Uint8Array.of(0x7b, 0x22, 0xc3, 0x28), /not UTF-8 \(byte 4 of the line\)/],
    ['UTF-8 that ends early', Uint8Array.of(0x22, 0xe2, 0x82), /not UTF-8/],
    ['an array', '[1]', /must be a JSON object, not an array/],
    ['a byte order mark in the middle of the file', '\u{feff}{}', /not parseable/],
    ['short and deep', '['.repeat(2_000) + ']'.repeat(2_000), /deeper than 128 levels/],
    ['long and deep', '['.repeat(4_000_000), /deeper than 128 levels/],
    ['made of too many parts', `[${'{},'.repeat(300_000)}1]`, /more than 250000 arrays/],
  ])('is refused when it is %s', (_name, line, why) => {
    expect(whyWrong(typeof line === 'string' ? utf8.encode(line) : line)).toMatch(why);
  });

  it('may nest as deep as a live call, whatever its length', () => {
    const nested = `{"a":${'['.repeat(127)}${']'.repeat(127)}`;
    expect(whyWrong(utf8.encode(`${nested}}`))).toBe('it is right');
    expect(whyWrong(utf8.encode(`${nested},"b":"${'x'.repeat(70_000)}"}`))).toBe('it is right');
  });

  it('never quotes the line', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(whyWrong(utf8.encode(`{"secret-${text}`))).not.toContain('secret');
      }),
    );
  });

  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(whyWrong(bytes)).toMatch(/./);
      }),
    );
  });
});

describe('ids that were seen', () => {
  it('are told by the line where each came first, over a million of them', () => {
    const ids = new IdTable();
    let taken = 0;
    for (let line = 0; line < 1_000_000; line += 1) if (ids.firstOf(`ticket-${line}`, line) !== undefined) taken += 1;
    expect(taken).toBe(0);
    expect(ids.firstOf('ticket-0', 1_000_000)).toBe(0);
    expect(ids.firstOf('ticket-999999', 1_000_000)).toBe(999_999);
    expect(ids.firstOf('ticket-1000000', 1_000_000)).toBeUndefined();
  });

  it('are told apart as a set of strings does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 4, unit: 'grapheme' }), { maxLength: 2_000 }),
        (names) => {
          const ids = new IdTable();
          const first = new Map<string, number>();
          for (const [line, name] of names.entries()) {
            expect(ids.firstOf(name, line)).toBe(first.get(name));
            if (!first.has(name)) first.set(name, line);
          }
        },
      ),
    );
  });
});

describe('a list of errors', () => {
  it('tells a hundred and how many more', () => {
    const errors = new ErrorList();
    for (let line = 1; line <= 103; line += 1) errors.add({ code: 'c', message: 'm', param: null, line });
    errors.addUntold(4);
    expect(errors.count).toBe(107);
    expect(errors.all()).toHaveLength(101);
    expect(errors.all().at(-1)?.code).toBe('too_many_errors');
    expect(errors.all().at(-1)?.message).toMatch(/7 more errors/);
  });

  it('tells why reading stopped beside them', () => {
    const errors = new ErrorList();
    errors.add({ code: 'a', message: 'm', param: null, line: 1 });
    errors.addLast({ code: 'b', message: 'm', param: null, line: null });
    expect(errors.all().map(({ code }) => code)).toEqual(['a', 'b']);
  });
});

const anyEntry = fc.record({
  line: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  offsetBytes: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  lengthBytes: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  group: fc.integer({ min: 0, max: NO_GROUP }),
  inputTokens: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  maxOutputTokens: fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 })),
  maxAttempts: fc.option(fc.integer({ min: 1, max: 20 })),
});

describe('entries of a plan', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 5 }), (entries) => {
        const bytes = new Uint8Array(entries.length * PLAN_ENTRY_BYTES);
        const view = new DataView(bytes.buffer);
        for (const [index, entry] of entries.entries()) writePlanEntry(view, index * PLAN_ENTRY_BYTES, entry);
        expect(readPlanEntries(bytes)).toEqual(entries);
      }),
    );
    expect(() => readPlanEntries(new Uint8Array(PLAN_ENTRY_BYTES + 1))).toThrow(RangeError);
  });

  it('lie group by group and by line, each exactly once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 1, 2, NO_GROUP), { maxLength: 200 }),
        fc.integer({ min: 1, max: 50 }),
        (groups, piece) => {
          const table = new PlanTable();
          for (const [line, group] of groups.entries()) table.add(planEntry({ line, group }));
          const entries = readPlanEntries(Buffer.concat([...table.pieces(piece)]));
          const rows = groups.map((group, line) => ({ group, line }));
          const expected = rows.sort((a, b) => a.group - b.group || a.line - b.line);
          expect(entries.map(({ group, line }) => ({ group, line }))).toEqual(expected);
          expect(table.groups.reduce((sum, { rows: count }) => sum + count, 0)).toBe(table.rows - table.wrong);
        },
      ),
    );
  });
});

describe('a set of lines', () => {
  it('has what was listed, in any order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(5_000)), (lines) => {
        const bytes = new Uint8Array(lines.length * 4);
        const view = new DataView(bytes.buffer);
        for (const [index, line] of lines.entries()) view.setUint32(index * 4, line, true);
        const set = readLineSet(bytes);
        expect(set.size).toBe(lines.length);
        const has = Array.from({ length: 5_010 }, (_, line) => line).filter((line) => set.has(line));
        expect(has).toEqual(lines.toSorted((a, b) => a - b));
      }),
      { numRuns: 20 },
    );
  });
});
