import { expect, test } from 'vitest';
import { brokenPromises } from '../../../../src/simulate/demo/check.ts';
import type { RunFacts } from '../../../../src/simulate/demo/facts.ts';
import { chat, goodRun, job } from './run-facts.ts';

test('a run in which all went well breaks nothing', () => {
  expect(brokenPromises(goodRun())).toEqual([]);
});

test.each<{ name: string; run: Partial<RunFacts>; says: string }>([
  {
    name: 'a job that was never accepted',
    run: { plannedJobs: 4 },
    says: '1 of 4 jobs were never accepted',
  },
  {
    name: 'an accepted job without an outcome',
    run: { jobs: [job(0), job(1), job(2, { status: null, textIsRight: null })], resultIds: ['job-0', 'job-1'] },
    says: '1 accepted jobs have no outcome: job-2',
  },
  {
    name: 'a job that failed',
    run: { jobs: [job(0), job(1), job(2, { status: 'failed', textIsRight: null })] },
    says: '1 jobs did not complete: job-2',
  },
  {
    name: 'a falsified result',
    run: { jobs: [job(0), job(1, { textIsRight: false }), job(2)] },
    says: '1 jobs have a wrong text: job-1',
  },
  {
    name: 'two jobs with one id',
    run: { jobs: [job(0), job(1), job(2, { id: 'job-1' })], resultIds: ['job-0', 'job-1'] },
    says: '1 jobs got an id that another job has: job-1',
  },
  {
    name: 'a line that repeats a job',
    run: { resultIds: ['job-0', 'job-1', 'job-2', 'job-1'] },
    says: '1 lines of the results file repeat a job',
  },
  {
    name: 'a missing line',
    run: { resultIds: ['job-0', 'job-2'] },
    says: '1 finished jobs are missing in the results file: job-1',
  },
  {
    name: 'a line of nobody',
    run: { resultIds: ['job-0', 'job-1', 'job-2', 'job-9'] },
    says: '1 lines of the results file belong to no accepted job',
  },
  {
    name: 'a chat without an outcome',
    run: { chats: [chat(0)], settled: { jobs: 3, chats: 1 } },
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
    run: { settled: { jobs: 4, chats: 2 } },
    says: 'the server settled 4 jobs and accepted 3',
  },
  { name: 'a pool that stays up', run: { poolIsAtZero: false }, says: 'the pool did not go back to zero in time' },
])('$name is told', ({ run, says }) => {
  expect(brokenPromises(goodRun(run))).toContain(says);
});

test('the death of the serving process may cut a chat and loses its counts, nothing else', () => {
  const cut = chat(1, { outcome: 'cut', error: 'the connection broke', textIsRight: null });
  const died = { serverDeaths: 1, chats: [chat(0), cut], settled: { jobs: 1, chats: 0 } };
  expect(brokenPromises(goodRun(died))).toEqual([]);
  expect(brokenPromises(goodRun({ ...died, jobs: [job(0), job(1)] }))).not.toEqual([]);
});

test('many jobs are named by a few examples', () => {
  const jobs = Array.from({ length: 9 }, (_job, index) => job(index, { status: null, textIsRight: null }));
  const [sentence] = brokenPromises(goodRun({ jobs, plannedJobs: 9, resultIds: [] }));
  expect(sentence).toBe('9 accepted jobs have no outcome: job-0, job-1, job-2, …');
});
