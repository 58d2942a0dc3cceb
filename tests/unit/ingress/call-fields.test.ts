import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { API_PATHS } from '../../../src/core/call.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import { callFields } from '../../../src/ingress/policy/call-fields.ts';
import { parseJobSubmission } from '../../../src/ingress/policy/job-submission.ts';
import { parseCall } from '../../../src/ingress/policy/parse-call.ts';

const CHAT = '/v1/chat/completions';
const user = { role: 'user', content: 'hi' };

describe('callFields accepts', () => {
  test.each([
    { name: 'a plain chat', path: CHAT, body: { messages: [user] }, want: { stream: false, maxOutputTokens: null } },
    {
      name: 'a stream',
      path: CHAT,
      body: { messages: [user], stream: true, stream_options: { include_usage: true } },
      want: { stream: true },
    },
    {
      name: 'nulls for what may be absent',
      path: CHAT,
      body: { messages: [user], stream: null, max_tokens: null, n: null, service_tier: null, stream_options: null },
      want: { stream: false, maxOutputTokens: null, serviceTier: null },
    },
    {
      name: 'a limit for each choice',
      path: CHAT,
      body: { messages: [user], max_tokens: 10, n: 3 },
      want: { maxOutputTokens: 30 },
    },
    {
      name: 'the newer limit before the older',
      path: CHAT,
      body: { messages: [user], max_tokens: 10, max_completion_tokens: 20 },
      want: { maxOutputTokens: 20 },
    },
    {
      name: 'content parts',
      path: CHAT,
      body: {
        messages: [
          {
            role: 'user',
            content: ['hi', { type: 'text', text: 'x' }, { type: 'image_url', image_url: { url: 'u' } }],
          },
        ],
      },
      want: {},
    },
    {
      name: 'an assistant that only calls tools',
      path: CHAT,
      body: {
        messages: [
          user,
          { role: 'assistant', content: null, tool_calls: [] },
          { role: 'tool', tool_call_id: '1', content: 'r' },
        ],
      },
      want: {},
    },
    { name: 'a prompt of texts', path: '/v1/completions', body: { prompt: ['a', 'b'] }, want: {} },
    {
      name: 'a prompt of token ids',
      path: '/v1/completions',
      body: { prompt: [[1, 2], [3]], max_tokens: 0 },
      want: { maxOutputTokens: 0 },
    },
    { name: 'a prompt of embeddings', path: '/v1/completions', body: { prompt_embeds: 'AAAA' }, want: {} },
    {
      name: 'an embedding, which answers no tokens',
      path: '/v1/embeddings',
      body: { input: 'x' },
      want: { maxOutputTokens: 0 },
    },
    { name: 'an embedding of messages', path: '/v1/embeddings', body: { messages: [user] }, want: {} },
    {
      name: 'a service tier',
      path: CHAT,
      body: { messages: [user], service_tier: 'flex' },
      want: { serviceTier: 'flex' },
    },
  ] as const)('$name', ({ path, body, want }) => {
    expect(callFields(path, { model: 'm', ...body })).toMatchObject({ model: 'm', ...want });
  });
});

describe('callFields refuses', () => {
  test.each([
    {
      name: 'no model',
      path: CHAT,
      body: { model: undefined, messages: [user] },
      code: 'missing_required_parameter',
      param: 'model',
    },
    {
      name: 'a model that is no string',
      path: CHAT,
      body: { model: 7, messages: [user] },
      code: 'invalid_type',
      param: 'model',
    },
    {
      name: 'a model without a name',
      path: CHAT,
      body: { model: '', messages: [user] },
      code: 'invalid_value',
      param: 'model',
    },
    { name: 'no messages', path: CHAT, body: {}, code: 'missing_required_parameter', param: 'messages' },
    { name: 'messages as a text', path: CHAT, body: { messages: 'hi' }, code: 'invalid_type', param: 'messages' },
    { name: 'no message at all', path: CHAT, body: { messages: [] }, code: 'invalid_value', param: 'messages' },
    {
      name: 'a message that is a text',
      path: CHAT,
      body: { messages: [user, 'x'] },
      code: 'invalid_type',
      param: 'messages[1]',
    },
    {
      name: 'a message without a role',
      path: CHAT,
      body: { messages: [{ content: 'x' }] },
      code: 'missing_required_parameter',
      param: 'messages[0].role',
    },
    {
      name: 'a role that is no string',
      path: CHAT,
      body: { messages: [{ role: 1, content: 'x' }] },
      code: 'invalid_type',
      param: 'messages[0].role',
    },
    {
      name: 'an empty role',
      path: CHAT,
      body: { messages: [{ role: '', content: 'x' }] },
      code: 'invalid_value',
      param: 'messages[0].role',
    },
    {
      name: 'a user who says nothing',
      path: CHAT,
      body: { messages: [user, user, { role: 'user' }] },
      code: 'missing_required_parameter',
      param: 'messages[2].content',
    },
    {
      name: 'content that is a number',
      path: CHAT,
      body: { messages: [{ role: 'user', content: 5 }] },
      code: 'invalid_type',
      param: 'messages[0].content',
    },
    {
      name: 'a part that is a number',
      path: CHAT,
      body: { messages: [{ role: 'user', content: [5] }] },
      code: 'invalid_type',
      param: 'messages[0].content[0]',
    },
    {
      name: 'a part without a type',
      path: CHAT,
      body: { messages: [{ role: 'user', content: [{}] }] },
      code: 'missing_required_parameter',
      param: 'messages[0].content[0].type',
    },
    {
      name: 'a part with a number as type',
      path: CHAT,
      body: { messages: [{ role: 'user', content: [{ type: 3 }] }] },
      code: 'invalid_type',
      param: 'messages[0].content[0].type',
    },
    {
      name: 'a text part without a text',
      path: CHAT,
      body: { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      code: 'missing_required_parameter',
      param: 'messages[0].content[0].text',
    },
    {
      name: 'a text part with a number',
      path: CHAT,
      body: { messages: [{ role: 'user', content: [{ type: 'text', text: 1 }] }] },
      code: 'invalid_type',
      param: 'messages[0].content[0].text',
    },
    {
      name: 'stream as a text',
      path: CHAT,
      body: { messages: [user], stream: 'yes' },
      code: 'invalid_type',
      param: 'stream',
    },
    {
      name: 'stream options as a list',
      path: CHAT,
      body: { messages: [user], stream_options: [] },
      code: 'invalid_type',
      param: 'stream_options',
    },
    {
      name: 'a limit as a text',
      path: CHAT,
      body: { messages: [user], max_tokens: '5' },
      code: 'invalid_type',
      param: 'max_tokens',
    },
    {
      name: 'half a token',
      path: CHAT,
      body: { messages: [user], max_tokens: 1.5 },
      code: 'invalid_type',
      param: 'max_tokens',
    },
    {
      name: 'a negative limit',
      path: CHAT,
      body: { messages: [user], max_completion_tokens: -1 },
      code: 'invalid_value',
      param: 'max_completion_tokens',
    },
    {
      name: 'a limit that is infinite',
      path: CHAT,
      body: { messages: [user], max_tokens: Number.POSITIVE_INFINITY },
      code: 'invalid_type',
      param: 'max_tokens',
    },
    {
      name: 'a limit beyond 32 bits',
      path: CHAT,
      body: { messages: [user], max_tokens: 3e9 },
      code: 'invalid_value',
      param: 'max_tokens',
    },
    { name: 'no choice', path: CHAT, body: { messages: [user], n: 0 }, code: 'invalid_value', param: 'n' },
    { name: 'too many choices', path: CHAT, body: { messages: [user], n: 129 }, code: 'invalid_value', param: 'n' },
    {
      name: 'a service tier that is a number',
      path: CHAT,
      body: { messages: [user], service_tier: 1 },
      code: 'invalid_type',
      param: 'service_tier',
    },
    { name: 'no prompt', path: '/v1/completions', body: {}, code: 'missing_required_parameter', param: 'prompt' },
    {
      name: 'a prompt that is an object',
      path: '/v1/completions',
      body: { prompt: {} },
      code: 'invalid_type',
      param: 'prompt',
    },
    {
      name: 'an empty list of prompts',
      path: '/v1/completions',
      body: { prompt: [] },
      code: 'invalid_value',
      param: 'prompt',
    },
    {
      name: 'texts and token ids mixed',
      path: '/v1/completions',
      body: { prompt: ['a', 1] },
      code: 'invalid_type',
      param: 'prompt[1]',
    },
    {
      name: 'a negative token id',
      path: '/v1/completions',
      body: { prompt: [[1, -2]] },
      code: 'invalid_type',
      param: 'prompt[0][1]',
    },
    {
      name: 'nothing among the prompts',
      path: '/v1/completions',
      body: { prompt: [null] },
      code: 'invalid_type',
      param: 'prompt[0]',
    },
    { name: 'no input', path: '/v1/embeddings', body: {}, code: 'missing_required_parameter', param: 'input' },
    {
      name: 'an input that is a boolean',
      path: '/v1/embeddings',
      body: { input: true },
      code: 'invalid_type',
      param: 'input',
    },
    {
      name: 'a stream of embeddings',
      path: '/v1/embeddings',
      body: { input: 'x', stream: true },
      code: 'invalid_value',
      param: 'stream',
    },
  ] as const)('$name', ({ path, body, code, param }) => {
    const error = callFields(path, { model: 'm', ...body });
    expect(error).toBeInstanceOf(PilotlightError);
    expect(error).toMatchObject({ code, param });
  });
});

test('a prefix goes before every name in errors', () => {
  expect(callFields(CHAT, { model: 'm', messages: [{ role: 'user' }] }, 'body.')).toMatchObject({
    param: 'body.messages[0].content',
  });
});

const FIELDS = [
  'model',
  'messages',
  'prompt',
  'input',
  'stream',
  'max_tokens',
  'n',
  'role',
  'content',
  'type',
  'text',
  'body',
  'path',
  'deadline',
  'objective',
  '__proto__',
];

/** JSON that gets past the first checks now and then: known names, values of every kind. */
const nearlyCalls = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 1.5, 1e300, '', 'm', 'user', 'text', '2h', CHAT),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie('value'), { maxKeys: 5 }),
  ),
})).value;

test('whatever JSON comes, the parsers answer a call, or an error that names its field', () => {
  fc.assert(
    fc.property(fc.oneof(nearlyCalls, fc.jsonValue()), fc.constantFrom(...API_PATHS), (value, path) => {
      const bytes = Buffer.from(JSON.stringify(value));
      for (const parsed of [parseCall(path, bytes), parseJobSubmission(bytes)]) {
        if (parsed instanceof PilotlightError) {
          expect(parsed.httpStatus).toBe(400);
          expect(parsed.param).toBeTruthy();
        } else {
          expect(parsed.fields.model).toBeTruthy();
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test('whatever bytes come, the parsers do not throw', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc.string().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        parseCall(CHAT, bytes);
        parseJobSubmission(bytes);
      },
    ),
    { numRuns: 500 },
  );
});
