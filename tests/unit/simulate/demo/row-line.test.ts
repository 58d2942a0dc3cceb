import { expect, test } from 'vitest';
import { batchState } from '../../../../src/simulate/demo/follow-batch.ts';
import { expectedText, rowBody } from '../../../../src/simulate/demo/requests.ts';
import { judgeRow, parseRowLine, type RowLine } from '../../../../src/simulate/demo/row-line.ts';
import { RowTally } from '../../../../src/simulate/demo/row-tally.ts';
import { ticketIndex, ticketNumber } from '../../../../src/simulate/demo/ticket.ts';

const planned = (index: number) => ({ index, atMs: 0, promptTokens: 200, outputTokens: 12 });
const body = rowBody(1, planned(0));

const answer = (content: string) => ({
  status_code: 200,
  body: { created: 14, choices: [{ message: { role: 'assistant', content } }] },
});
const line = (custom_id: string, response: unknown): string =>
  JSON.stringify({ id: 'x', custom_id, response, error: null, pilotlight: { attempts: 2, waited_ms: 5 } });
const lineOf = (index: number): string => line(ticketNumber(index), answer(expectedText(rowBody(1, planned(index)))));

const judged = (text: string, failed = false) =>
  judgeRow(0, parseRowLine(text) as RowLine, { failed, body, acceptedAtEpochMs: 10_200 });

test('the right text is right, and the wait ends when the model server began', () => {
  const want = { index: 0, id: 'T-100000', status: 'completed', textIsRight: true, waitMs: 4_300, attempts: 2 };
  expect(judged(lineOf(0))).toEqual(want);
});

test.each([
  { name: 'one letter less', response: answer(expectedText(body).slice(0, -1)) },
  { name: 'the text of another row', response: answer(expectedText(rowBody(1, planned(1)))) },
  { name: 'another answer', response: { status_code: 200, body: { object: 'list' } } },
  { name: 'another status', response: { ...answer(expectedText(body)), status_code: 503 } },
  { name: 'no answer', response: null },
])('a completed row with $name has a wrong text', ({ response }) => {
  expect(judged(line('T-100000', response)).textIsRight).toBe(false);
});

test('a row in the error file failed, and has no text to judge', () => {
  expect(judged(line('T-100000', null), true)).toMatchObject({ status: 'failed', textIsRight: null, waitMs: null });
});

const tallied = (...lines: readonly string[]) => {
  const tally = new RowTally(1, [planned(0), planned(1), planned(2)], 10_200);
  for (const text of lines) tally.take('output', text);
  return { ...tally.lines, found: tally.rows().map(({ status }) => status) };
};
const CLEAN = { repeated: 0, strange: 0, outOfOrder: 0 };
const ALL = ['completed', 'completed', 'completed'];

test.each([
  { name: 'every row in order', lines: [0, 1, 2].map(lineOf), want: { ...CLEAN, read: 3, found: ALL } },
  {
    name: 'a missing row',
    lines: [0, 2].map(lineOf),
    want: { ...CLEAN, read: 2, found: ['completed', null, 'completed'] },
  },
  { name: 'a row twice', lines: [0, 1, 1, 2].map(lineOf), want: { ...CLEAN, read: 4, repeated: 1, found: ALL } },
  {
    name: 'two rows changed about',
    lines: [0, 2, 1].map(lineOf),
    want: { ...CLEAN, read: 3, outOfOrder: 1, found: ALL },
  },
  {
    name: 'lines of nobody',
    lines: [...[0, 1, 2].map(lineOf), line('T-100003', null), line('mine', null), '{"cut', ''],
    want: { ...CLEAN, read: 7, strange: 4, found: ALL },
  },
])('$name in the output is seen', ({ lines, want }) => {
  expect(tallied(...lines)).toEqual(want);
});

test('a row that is in both files is counted as repeated', () => {
  const tally = new RowTally(1, [planned(0)], 10_200);
  tally.take('output', lineOf(0));
  tally.take('errors', line('T-100000', null));
  expect(tally.lines).toMatchObject({ read: 2, repeated: 1 });
  expect(tally.rows()[0]?.status).toBe('completed');
});

test.each([0, 42, 999_999])('ticket %d has a number that leads back to it', (index) => {
  expect(ticketIndex(ticketNumber(index))).toBe(index);
});

test.each(['T-99999', 'T-1e5', 'X-100000', '100000', 'T-100000 '])('"%s" is no ticket number', (text) => {
  expect(ticketIndex(text)).toBeNull();
});

test('a batch is read from its object, and anything else is none', () => {
  const told = {
    id: 'batch_1',
    status: 'failed',
    output_file_id: null,
    error_file_id: null,
    errors: { object: 'list', data: [{ code: 'x', message: 'line 2 is no JSON', line: 2 }] },
    request_counts: { total: 0, completed: 0, failed: 0 },
    pilotlight: { rows_per_second: null, eta_seconds: 3, holding_message: null },
  };
  expect(batchState(JSON.stringify(told))).toMatchObject({ status: 'failed', etaMs: 3_000, why: 'line 2 is no JSON' });
  expect(batchState('{"object":"list"}')).toBeNull();
  expect(batchState('<html>')).toBeNull();
});
