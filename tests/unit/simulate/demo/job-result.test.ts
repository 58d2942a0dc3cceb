import { expect, test } from 'vitest';
import { judgeJob, parseJobState } from '../../../../src/simulate/demo/job-result.ts';
import { expectedText, jobBody } from '../../../../src/simulate/demo/requests.ts';

const planned = { index: 0, atMs: 0, promptTokens: 200, outputTokens: 12 };
const body = jobBody(1, planned);
const job = { index: 0, id: 'job-0', acceptedAtEpochMs: 10_200 };
const completed = { status: 'completed' as const, error: null };

const answer = (content: string) =>
  JSON.stringify({ created: 14, choices: [{ message: { role: 'assistant', content } }], usage: { total_tokens: 9 } });

test('the right text is right, and the wait ends when the model server began', () => {
  const { facts, text, usage } = judgeJob(job, completed, answer(expectedText(body)), body);
  expect(facts).toEqual({ ...job, status: 'completed', textIsRight: true, waitMs: 4_300 });
  expect([text, usage]).toEqual([expectedText(body), { total_tokens: 9 }]);
});

test.each([
  { name: 'one letter less', result: answer(expectedText(body).slice(0, -1)) },
  { name: 'the text of another job', result: answer(expectedText(jobBody(1, { ...planned, index: 1 }))) },
  { name: 'no JSON', result: 'oops' },
  { name: 'no result', result: null },
])('a completed job with $name has a wrong text', ({ result }) => {
  expect(judgeJob(job, completed, result, body).facts.textIsRight).toBe(false);
});

test('a failed job has an outcome and no text to judge', () => {
  const { facts } = judgeJob(job, { status: 'failed', error: { message: 'no' } }, null, body);
  expect(facts).toMatchObject({ status: 'failed', textIsRight: null, waitMs: null });
});

test('a running job has no outcome', () => {
  expect(judgeJob(job, { status: 'running' }, null, body).facts.status).toBeNull();
});

test.each([
  { text: '{"id":"job-0","status":"completed","error":null}', want: 'completed' },
  { text: '{"status":"sleeping"}', want: undefined },
  { text: '<html>', want: undefined },
])('the state in $text is $want', ({ text, want }) => {
  expect(parseJobState(text)?.status).toBe(want);
});
