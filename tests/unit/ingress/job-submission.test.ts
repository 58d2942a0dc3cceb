import { describe, expect, test } from 'vitest';
import { parseJobSubmission } from '../../../src/ingress/policy/job-submission.ts';

const submit = (body: unknown) =>
  parseJobSubmission(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)));
const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

describe('a bare body', () => {
  test.each([
    { name: 'with messages is a chat', body: chat, path: '/v1/chat/completions' },
    { name: 'with input is an embedding', body: { model: 'm', input: 'x' }, path: '/v1/embeddings' },
    { name: 'with a prompt is a completion', body: { model: 'm', prompt: 'x' }, path: '/v1/completions' },
  ])('$name', ({ body, path }) => {
    expect(submit(body)).toMatchObject({
      path,
      bodyText: JSON.stringify(body),
      objective: null,
      deadlineMs: null,
      at: '',
    });
  });
});

test.each([
  { name: 'objective and deadline', pilotlight: { objective: 'nightly', deadline: '2h' }, deadlineMs: 7_200_000 },
  { name: 'a TTL that is shorter', pilotlight: { objective: 'nightly', deadline: '2h', ttl: '5s' }, deadlineMs: 5_000 },
])('a bare body may say in its own member: $name', ({ pilotlight, deadlineMs }) => {
  const want = { objective: 'nightly', objectiveParam: 'pilotlight.objective', deadlineMs };
  expect(submit({ ...chat, pilotlight })).toMatchObject({ ...want, fields: { hasExtension: true } });
});

describe('a wrapped body', () => {
  test('keeps the text of the call as it was written', () => {
    const call = '{"model":"m", "seed": 9007199254740993, "prompt":"x"}';
    expect(submit(`{"objective":"nightly","body": ${call} ,"deadline":"1h30m"}`)).toMatchObject({
      path: '/v1/completions',
      bodyText: call,
      objective: 'nightly',
      deadlineMs: 5_400_000,
      at: 'body.',
    });
  });

  test('may name its path', () => {
    const body = { model: 'm', messages: chat.messages };
    expect(submit({ path: '/v1/embeddings', body })).toMatchObject({ path: '/v1/embeddings' });
  });
});

test.each([
  { name: 'nothing that is known', body: {}, code: 'missing_required_parameter', param: 'body' },
  { name: 'a body that is a text', body: { body: 'x' }, code: 'invalid_type', param: 'body' },
  {
    name: 'a body without marks of a path',
    body: { body: { model: 'm' } },
    code: 'missing_required_parameter',
    param: 'path',
  },
  { name: 'a path that is not served', body: { path: '/v1/audio', body: chat }, code: 'invalid_value', param: 'path' },
  { name: 'a misspelt field', body: { body: chat, objectiv: 'x' }, code: 'invalid_value', param: 'objectiv' },
  { name: 'a number as objective', body: { body: chat, objective: 1 }, code: 'invalid_type', param: 'objective' },
  { name: 'a deadline without a unit', body: { body: chat, deadline: '30' }, code: 'invalid_value', param: 'deadline' },
  { name: 'a deadline that is a number', body: { body: chat, deadline: 30 }, code: 'invalid_type', param: 'deadline' },
  { name: 'a deadline of now', body: { body: chat, deadline: '0s' }, code: 'invalid_value', param: 'deadline' },
  { name: 'a stream', body: { body: { ...chat, stream: true } }, code: 'invalid_value', param: 'body.stream' },
  { name: 'a bare stream', body: { ...chat, stream: true }, code: 'invalid_value', param: 'stream' },
  {
    name: 'a wrong call',
    body: { body: { model: 'm', messages: [{}] } },
    code: 'missing_required_parameter',
    param: 'body.messages[0].role',
  },
])('parseJobSubmission refuses $name', ({ body, code, param }) => {
  expect(submit(body)).toMatchObject({ code, param });
});
