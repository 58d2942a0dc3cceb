import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { readPointer, pointerMessage } from '../../../src/sqs/policy/pointer.ts';
import { isFifo, replyQueue } from '../../../src/sqs/policy/reply.ts';
import { type RequestEnd, type ResultHead, resultAttributes, resultBody } from '../../../src/sqs/policy/result.ts';
import { attributeText } from '../../../src/sqs/policy/xml-text.ts';

const HEAD: ResultHead = {
  format: 'batch_row',
  customId: 'row-1',
  metadata: null,
  correlationId: 'c-1',
  messageId: 'm-1',
  jobId: 'job-1',
  objective: 'nightly',
};
const answered = (body: string, statusCode = 200): RequestEnd => ({
  kind: 'answered',
  statusCode,
  body: Buffer.from(body),
});
const EXPIRED: RequestEnd = { kind: 'failed', error: new PilotlightError('deadline_exceeded', 'too late') };
const OPENAI_ERROR = { message: 'too late', type: 'timeout_error', param: null, code: 'deadline_exceeded' };

describe('a result has the format of its request', () => {
  test.each<{ name: string; head: Partial<ResultHead>; end: RequestEnd; want: object }>([
    {
      name: 'a row that was answered',
      head: {},
      end: answered('{"n":1}'),
      want: {
        id: 'job-1',
        custom_id: 'row-1',
        response: { status_code: 200, request_id: 'job-1', body: { n: 1 } },
        error: null,
      },
    },
    {
      name: 'a row that expired',
      head: {},
      end: EXPIRED,
      want: {
        id: 'job-1',
        custom_id: 'row-1',
        response: null,
        error: { code: 'deadline_exceeded', message: 'too late', param: null },
      },
    },
    {
      name: 'KubeAI, answered with its metadata',
      head: { format: 'kubeai', metadata: '{"ticket":7}' },
      end: answered('{"n":1}', 400),
      want: { metadata: { ticket: 7 }, status_code: 400, body: { n: 1 } },
    },
    {
      name: 'KubeAI, expired',
      head: { format: 'kubeai' },
      end: EXPIRED,
      want: { metadata: {}, status_code: 504, body: { error: OPENAI_ERROR } },
    },
    {
      name: 'llm-d-async, answered',
      head: { format: 'llm_d_async', customId: 'a' },
      end: answered('{"n":1}'),
      want: { id: 'a', status_code: 200, payload: '{"n":1}' },
    },
    {
      name: 'llm-d-async, expired',
      head: { format: 'llm_d_async', customId: 'a' },
      end: EXPIRED,
      want: {
        id: 'a',
        status_code: 504,
        payload: JSON.stringify({ error: OPENAI_ERROR }),
        error_code: 'DEADLINE_EXCEEDED',
        error_message: 'too late',
      },
    },
  ])('$name', ({ head, end, want }) => {
    expect(JSON.parse(resultBody({ ...HEAD, ...head }, end))).toEqual(want);
  });

  test('numbers of the answer stay as they were written', () => {
    expect(resultBody(HEAD, answered('{"seed":9007199254740993}'))).toContain('{"seed":9007199254740993}');
  });

  test('an answer that is no JSON is quoted in an error', () => {
    const result = JSON.parse(resultBody(HEAD, answered('<html>', 502))) as { response: { body: { error: object } } };
    expect(result.response.body.error).toMatchObject({ code: 'upstream_error' });
  });

  test('whatever was answered, the message is JSON without characters that SQS refuses', () => {
    const anyBody = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => Buffer.from(text)),
      fc.constant(Buffer.from('{"a":"\uFFFE\uFFFF"}')),
    );
    const format = fc.constantFrom('batch_row', 'kubeai', 'llm_d_async');
    fc.assert(
      fc.property(anyBody, format, fc.string({ unit: 'binary' }), (body, name, customId) => {
        const text = resultBody({ ...HEAD, format: name, customId }, { kind: 'answered', statusCode: 200, body });
        expect(() => JSON.parse(text) as unknown).not.toThrow();
        expect(text).not.toMatch(/[\uFFFE\uFFFF]/);
        expect(text.isWellFormed()).toBe(true);
      }),
    );
  });
});

test('the attributes say what a consumer routes and dedupes by', () => {
  expect(resultAttributes(HEAD, EXPIRED)).toEqual({
    CorrelationId: { type: 'String', value: 'c-1' },
    request_message_id: { type: 'String', value: 'm-1' },
    custom_id: { type: 'String', value: 'row-1' },
    job_id: { type: 'String', value: 'job-1' },
    objective: { type: 'String', value: 'nightly' },
    error_code: { type: 'String', value: 'deadline_exceeded' },
    status_code: { type: 'Number', value: '504' },
  });
});

test.each([
  ['plain', 'plain'],
  ['a\u0000b\u0007c', 'abc'],
  ['\u0000', null],
  ['x'.repeat(20), 'x'.repeat(10)],
  ['123456789😀', '123456789\uFFFD'],
])('%j becomes the attribute %j', (text, want) => {
  expect(attributeText(text, 10)).toBe(want);
});

describe('a pointer', () => {
  const text = pointerMessage({ bucket: 'b', key: 'k' });

  test('is read as it was written', () => {
    expect(readPointer(text, ['b'])).toEqual({ bucket: 'b', key: 'k' });
  });

  test.each([
    ['an object', '{}', null],
    ['another list', '["x",{}]', null],
    ['no JSON', '[', null],
    ['a bucket that is not listed', pointerMessage({ bucket: 'c', key: 'k' }), 'invalid_value'],
    ['no key', JSON.stringify([(JSON.parse(text) as [string])[0], { s3BucketName: 'b' }]), 'invalid_value'],
  ])('%s leads nowhere', (_, message, code) => {
    const read = readPointer(message, ['b']);
    expect(read instanceof PilotlightError ? read.code : read).toBe(code);
  });
});

describe('the queue for a result', () => {
  const rules = { resultsUrl: 'http://sqs/results', replyTo: ['http://sqs/mine'] };
  test.each([
    ['that of the configuration', {}, rules, 'http://sqs/results'],
    ['none', {}, { resultsUrl: null, replyTo: [] }, null],
    ['the one that the message names', { ReplyTo: 'http://sqs/mine' }, rules, 'http://sqs/mine'],
    ['refused when it is not listed', { ReplyTo: 'http://sqs/evil' }, rules, 'invalid_value'],
  ])('is %s', (_, attributes, given, want) => {
    const found = replyQueue(attributes, given);
    expect(found instanceof PilotlightError ? found.code : found).toBe(want);
  });

  test('is a FIFO queue by its name', () => {
    expect([isFifo('http://sqs/1/a.fifo'), isFifo('http://sqs/1/fifo')]).toEqual([true, false]);
  });
});
