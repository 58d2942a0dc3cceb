import { describe, expect, test } from 'vitest';
import { ERROR_CODES, PilotlightError } from '../../../src/core/errors.ts';
import {
  forwardedAnswerHeaders,
  forwardedCallHeaders,
  saneRequestId,
} from '../../../src/ingress/policy/answer-headers.ts';
import { errorAnswer, errorEvent } from '../../../src/ingress/policy/error-answer.ts';
import { parsePrefer } from '../../../src/ingress/policy/prefer.ts';

test.each([
  { header: undefined, respondAsync: false, waitS: null },
  { header: 'respond-async', respondAsync: true, waitS: null },
  { header: 'respond-async, wait=10', respondAsync: true, waitS: 10 },
  { header: 'Respond-Async,WAIT = "7"', respondAsync: true, waitS: 7 },
  { header: ['respond-async', 'wait=3'], respondAsync: true, waitS: 3 },
  { header: 'wait=1, wait=2', respondAsync: false, waitS: 1 },
  { header: 'respond-async; foo=bar; wait=9', respondAsync: true, waitS: null },
  { header: 'handling=lenient, wait=soon', respondAsync: false, waitS: null },
  { header: 'wait=-1', respondAsync: false, waitS: null },
  { header: '', respondAsync: false, waitS: null },
])('parsePrefer: $header', ({ header, respondAsync, waitS }) => {
  expect(parsePrefer(header)).toEqual({ respondAsync, waitS });
});

describe('errorAnswer', () => {
  test.each(ERROR_CODES.map((code) => ({ code })))(
    '$code has all four keys, and is retried by SDKs only if it may be',
    ({ code }) => {
      const error = new PilotlightError(code, 'why', { param: 'field' });
      const { status, headers, body } = errorAnswer(error);
      expect(status).toBe(error.httpStatus);
      expect(JSON.parse(body)).toEqual({ error: { message: 'why', type: error.type, param: 'field', code } });
      const sdkRetries =
        (status === 408 || status === 409 || status === 429 || status >= 500) && headers['x-should-retry'] !== 'false';
      expect(sdkRetries).toBe(error.retryable || code === 'job_not_finished');
      if (status === 429 || status === 503)
        expect(headers).toMatchObject({ 'retry-after': '1', 'retry-after-ms': '1000' });
    },
  );

  test('a measured time to come back is told in seconds, rounded up, and in milliseconds', () => {
    const { headers } = errorAnswer(new PilotlightError('queue_full', 'why', { retryAfterMs: 2_100.4 }));
    expect(headers).toMatchObject({ 'retry-after': '3', 'retry-after-ms': '2101' });
  });

  test.each([
    { code: 'queue_shed', reason: 'rejected-saturated' },
    { code: 'no_capacity', reason: 'rejected-no-endpoints' },
    { code: 'queue_ttl_exceeded', reason: 'rejected-ttl-expired' },
    { code: 'draining', reason: 'rejected-shutting-down' },
    { code: 'invalid_json', reason: undefined },
  ] as const)('$code has the drop reason $reason', ({ code, reason }) => {
    expect(errorAnswer(new PilotlightError(code, 'why')).headers['x-llm-d-request-dropped-reason']).toBe(reason);
  });

  test('without a parameter, param is null', () => {
    expect(errorEvent(new PilotlightError('upstream_error', 'why'))).toBe(
      'data: {"error":{"message":"why","type":"upstream_error","param":null,"code":"upstream_error"}}\n\n',
    );
  });
});

test('hop-by-hop headers and the identity of the model server stay behind', () => {
  const upstream = {
    'Content-Type': 'application/json',
    'x-custom': '1',
    Connection: 'keep-alive',
    'Transfer-Encoding': 'chunked',
    'Set-Cookie': 'a=b',
    Server: 'uvicorn',
    'x-request-id': 'theirs',
  };
  expect(forwardedAnswerHeaders(upstream)).toEqual({ 'content-type': 'application/json', 'x-custom': '1' });
});

test('a call carries its id and trace context, and nothing else of the caller', () => {
  const received = {
    authorization: 'Bearer secret',
    cookie: 'a=b',
    traceparent: '00-1-2-01',
    tracestate: 'x=y',
    'x-llm-d-inference-objective': 'nightly',
    'content-length': '5',
  };
  expect(forwardedCallHeaders(received, 'req_1')).toEqual({
    'x-request-id': 'req_1',
    traceparent: '00-1-2-01',
    tracestate: 'x=y',
  });
});

test.each([
  { id: 'abc-1.2_X', want: 'abc-1.2_X' },
  { id: 'x'.repeat(128), want: 'x'.repeat(128) },
  { id: 'x'.repeat(129), want: undefined },
  { id: 'a b', want: undefined },
  { id: '', want: undefined },
  { id: undefined, want: undefined },
  { id: ['a', 'b'], want: undefined },
])('saneRequestId: $id', ({ id, want }) => {
  expect(saneRequestId(id)).toBe(want);
});
