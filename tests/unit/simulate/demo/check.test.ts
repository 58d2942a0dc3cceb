import { expect, test } from 'vitest';
import { brokenPromises } from '../../../../src/simulate/demo/check.ts';
import type { RunFacts } from '../../../../src/simulate/demo/facts.ts';
import { batch, chat, goodRun, row } from './run-facts.ts';

test('a run in which all went well breaks nothing', () => {
  expect(brokenPromises(goodRun())).toEqual([]);
});

test.each<{ name: string; run: Partial<RunFacts>; says: string }>([
  {
    name: 'a file that was never accepted',
    run: { batch: null, rows: [] },
    says: 'the file of 3 rows was never accepted as a batch',
  },
  {
    name: 'a batch that ended otherwise',
    run: { batch: batch({ status: 'failed', why: 'line 2 is no JSON' }) },
    says: 'batch batch_1 is failed: line 2 is no JSON',
  },
  { name: 'a batch with too few rows', run: { batch: batch({ total: 2 }) }, says: 'the batch has 2 rows, its file 3' },
  { name: 'a file that became two batches', run: { batchesMade: 2 }, says: '2 batches were made of one file' },
  {
    name: 'a row in neither file',
    run: { rows: [row(0), row(1), row(2, { status: null, textIsRight: null })] },
    says: '1 accepted rows have no outcome: T-100002',
  },
  {
    name: 'a row in the error file',
    run: { rows: [row(0), row(1), row(2, { status: 'failed', textIsRight: null })] },
    says: '1 rows did not complete: T-100002',
  },
  {
    name: 'a falsified result',
    run: { rows: [row(0), row(1, { textIsRight: false }), row(2)] },
    says: '1 rows have a wrong text: T-100001',
  },
  {
    name: 'a line that repeats a row',
    run: { lines: { read: 4, repeated: 1, strange: 0, outOfOrder: 0 } },
    says: '1 lines of the output repeat a row',
  },
  {
    name: 'a line of nobody',
    run: { lines: { read: 4, repeated: 0, strange: 1, outOfOrder: 0 } },
    says: '1 lines of the output belong to no row of the input',
  },
  {
    name: 'a line in the wrong place',
    run: { lines: { read: 3, repeated: 0, strange: 0, outOfOrder: 1 } },
    says: '1 lines of the output are not in the order of the input',
  },
  {
    name: 'a batch that counts otherwise than its files',
    run: { batch: batch({ completed: 2, failed: 1 }) },
    says: 'the batch tells of 2 completed rows, and the output has 3',
  },
  {
    name: 'a chat without an outcome',
    run: { chats: [chat(0)], settled: { completedRows: 3, chats: 1 } },
    says: '2 chats were begun and 1 have an outcome',
  },
  {
    name: 'a chat that failed',
    run: { chats: [chat(0), chat(1, { outcome: 'failed', error: 'HTTP 500: oh' })] },
    says: 'chat 2 failed: HTTP 500: oh',
  },
  {
    name: 'a chat that was cut though nothing died',
    run: { chats: [chat(0), chat(1, { outcome: 'cut', error: 'the connection broke', textIsRight: null })] },
    says: 'chat 2 failed: the connection broke',
  },
  {
    name: 'a chat with the text of another',
    run: { chats: [chat(0, { textIsRight: false }), chat(1)] },
    says: 'chat 1 got a wrong text',
  },
  {
    name: 'a server that counts otherwise',
    run: { settled: { completedRows: 4, chats: 2 } },
    says: 'the server completed 4 rows, and the output has 3',
  },
  { name: 'a pool that stays up', run: { poolIsAtZero: false }, says: 'the pool did not go back to zero in time' },
])('$name is told', ({ run, says }) => {
  expect(brokenPromises(goodRun(run))).toContain(says);
});

test('the death of the serving process may cut a chat and loses its counts, nothing else', () => {
  const cut = chat(1, { outcome: 'cut', error: 'the connection broke', textIsRight: null });
  const died = { serverDeaths: 1, chats: [chat(0), cut], settled: { completedRows: 1, chats: 0 } };
  expect(brokenPromises(goodRun(died))).toEqual([]);
  expect(brokenPromises(goodRun({ ...died, rows: [row(0), row(1), row(2, { status: null })] }))).not.toEqual([]);
});

test('without a file there is no batch, and nothing is missed', () => {
  const none = { plannedRows: 0, batch: null, batchesMade: 0, rows: [], settled: { completedRows: 0, chats: 2 } };
  expect(brokenPromises(goodRun(none))).toEqual([]);
});

test('many rows are named by a few examples', () => {
  const rows = Array.from({ length: 9 }, (_row, index) => row(index, { status: null, textIsRight: null }));
  const told = brokenPromises(goodRun({ rows, plannedRows: 9, batch: batch({ total: 9, completed: 0 }) }));
  expect(told[0]).toBe('9 accepted rows have no outcome: T-100000, T-100001, T-100002, …');
});
