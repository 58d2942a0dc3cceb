import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { decodeMessage } from '../../../src/sqs/policy/decode.ts';
import type { JsonObject } from '../../../src/sqs/policy/json.ts';

const SENT = 1_700_000_000_000;
const BODY = { model: 'chat', messages: [] };
const URL = '/v1/chat/completions';
const decode = (value: JsonObject) => decodeMessage(value, { sentAtEpochMs: SENT });
const row = (more: JsonObject = {}) => ({ custom_id: 'a', url: URL, body: BODY, ...more });
const llmd = (more: JsonObject = {}) => ({ id: 'a', payload: BODY, ...more });
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');
const asText = { kind: 'text', text: JSON.stringify(BODY), param: 'payload' };

describe('a message is read in the format that it has', () => {
  test.each<{ name: string; value: JsonObject; head: object; call: object }>([
    {
      name: 'a batch row',
      value: row(),
      head: { format: 'batch_row', customId: 'a' },
      call: { path: URL, body: { kind: 'member', at: ['body'] }, objective: null, deadlineEpochMs: null },
    },
    { name: 'a row with its method', value: row({ method: 'POST' }), head: { customId: 'a' }, call: { path: URL } },
    {
      name: 'a row with a duration, which counts from the sending',
      value: row({ deadline: '2h', objective: 'nightly' }),
      head: { customId: 'a' },
      call: { objective: 'nightly', deadlineEpochMs: SENT + 7_200_000 },
    },
    {
      name: 'a row with a time and the objective of a batch row',
      value: row({ deadline: 1_700_000_100, pilotlight: { objective: 'bulk' } }),
      head: {},
      call: { objective: 'bulk', deadlineEpochMs: 1_700_000_100_000 },
    },
    {
      name: 'a request of KubeAI',
      value: { metadata: { ticket: 7 }, path: '/v1/completions', body: { prompt: 'x' } },
      head: { format: 'kubeai', customId: null, metadata: '{"ticket":7}' },
      call: { path: '/v1/completions', body: { kind: 'member', at: ['body'] } },
    },
    {
      name: 'one of KubeAI without path and metadata',
      value: { body: BODY },
      head: { format: 'kubeai', metadata: null },
      call: { path: null },
    },
    {
      name: 'a request of llm-d-async',
      value: llmd({ created: 1, deadline: 1_700_000_100, metadata: { a: 'b' }, endpoint: 'v1/chat/completions' }),
      head: { format: 'llm_d_async', customId: 'a' },
      call: { path: URL, body: { kind: 'member', at: ['payload'] }, deadlineEpochMs: 1_700_000_100_000 },
    },
    {
      name: 'an older one, with base64 and the deadline as text',
      value: llmd({ deadline: '1700000100', payload: base64(BODY), retry_count: 0 }),
      head: { customId: 'a' },
      call: { body: asText, deadlineEpochMs: 1_700_000_100_000 },
    },
    {
      name: 'one whose payload is text',
      value: llmd({ payload: JSON.stringify(BODY) }),
      head: { customId: 'a' },
      call: { path: null, body: asText },
    },
    {
      name: 'a wrapped one, with its objective in a header',
      value: {
        internal: { retry_count: 0, transport_correlation_id: 'c-1' },
        request_kind: 'x',
        data: llmd({ headers: { 'X-Gateway-Inference-Objective': 'bulk' } }),
      },
      head: { format: 'llm_d_async', customId: 'a', correlationId: 'c-1' },
      call: { body: { kind: 'member', at: ['data', 'payload'] }, objective: 'bulk' },
    },
  ])('$name', ({ value, head, call }) => {
    expect(decode(value)).toMatchObject({ head, call });
  });
});

describe('what is wrong is named, in the format of the request', () => {
  test.each<{ name: string; value: JsonObject; format: string; param: string; text: RegExp }>([
    { name: 'nothing we know', value: { model: 'chat' }, format: 'batch_row', param: 'body', text: /known formats/ },
    { name: 'no id', value: { url: URL, body: BODY }, format: 'batch_row', param: 'custom_id', text: /^Missing/ },
    { name: 'an empty id', value: row({ custom_id: '' }), format: 'batch_row', param: 'custom_id', text: /512/ },
    {
      name: 'a long id',
      value: row({ custom_id: 'x'.repeat(513) }),
      format: 'batch_row',
      param: 'custom_id',
      text: /512/,
    },
    { name: 'another method', value: row({ method: 'GET' }), format: 'batch_row', param: 'method', text: /POST/ },
    { name: 'no url', value: row({ url: undefined }), format: 'batch_row', param: 'url', text: /^Missing/ },
    { name: 'a body that is text', value: row({ body: 'x' }), format: 'batch_row', param: 'body', text: /a string/ },
    { name: 'a bad duration', value: row({ deadline: 'soon' }), format: 'batch_row', param: 'deadline', text: /soon/ },
    { name: 'no time at all', value: row({ deadline: '0s' }), format: 'batch_row', param: 'deadline', text: /nothing/ },
    {
      name: 'a time beyond time',
      value: row({ deadline: 1e300 }),
      format: 'batch_row',
      param: 'deadline',
      text: /Unix/,
    },
    {
      name: 'an objective that is a number',
      value: row({ objective: 7 }),
      format: 'batch_row',
      param: 'objective',
      text: /number/,
    },
    {
      name: 'a path that is a number',
      value: { path: 7, body: BODY },
      format: 'kubeai',
      param: 'path',
      text: /number/,
    },
    {
      name: 'metadata without end',
      value: { metadata: { x: 'y'.repeat(20_000) }, body: BODY },
      format: 'kubeai',
      param: 'metadata',
      text: /16384/,
    },
    {
      name: 'no payload',
      value: { id: 'a', request_kind: 'x', data: {} },
      format: 'llm_d_async',
      param: 'id',
      text: /^Missing/,
    },
    {
      name: 'a payload that is nothing',
      value: llmd({ payload: '%%%' }),
      format: 'llm_d_async',
      param: 'payload',
      text: /base64/,
    },
    {
      name: 'another server',
      value: llmd({ endpoint: 'http://evil/v1' }),
      format: 'llm_d_async',
      param: 'endpoint',
      text: /URL/,
    },
    { name: 'a negative time', value: llmd({ deadline: -1 }), format: 'llm_d_async', param: 'deadline', text: /Unix/ },
    {
      name: 'headers that are a list',
      value: llmd({ headers: [] }),
      format: 'llm_d_async',
      param: 'headers',
      text: /array/,
    },
  ])('$name', ({ value, format, param, text }) => {
    const { head, call } = decode(value);
    expect(head.format).toBe(format);
    expect(call).toBeInstanceOf(PilotlightError);
    expect(call).toMatchObject({ param, message: expect.stringMatching(text) as string });
  });

  test('an error never repeats the prompt', () => {
    const { call } = decode(row({ body: 'my secret prompt' }));
    expect((call as PilotlightError).message).not.toContain('secret');
  });
});
