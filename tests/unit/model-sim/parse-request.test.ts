import { expect, test } from 'vitest';
import { type InferenceKind, parseInferenceRequest } from '../../../src/model-sim/policy/parse-request.ts';
import { planCall } from '../../../src/model-sim/policy/plan-call.ts';

const served = {
  baseModels: ['sim', 'alias'],
  maxModelTokens: 100,
  embeddingDimensions: 8,
  hasAdapter: (name: string) => name === 'lora',
};
const messages = [{ role: 'user', content: 'hello there' }];
const plan = { blockSizeTokens: 4, prefixCaching: true, medianOutputTokens: 10 };

function parse(kind: InferenceKind, body: Record<string, unknown>) {
  return parseInferenceRequest(kind, body, served);
}

function parsed(kind: InferenceKind, body: Record<string, unknown>) {
  const outcome = parse(kind, body);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

test.each<{ name: string; kind?: InferenceKind; body: Record<string, unknown>; status: number; param: string | null }>([
  { name: 'no model', body: { messages }, status: 400, param: 'model' },
  { name: 'a model of the wrong type', body: { model: 7, messages }, status: 400, param: 'model' },
  { name: 'an unknown model', body: { model: 'gpt', messages }, status: 404, param: 'model' },
  { name: 'no messages', body: { model: 'sim' }, status: 400, param: 'messages' },
  {
    name: 'a message without a role',
    body: { model: 'sim', messages: [{ content: 'x' }] },
    status: 400,
    param: 'messages',
  },
  {
    name: 'a message whose content is a number',
    body: { model: 'sim', messages: [{ role: 'user', content: 1 }] },
    status: 400,
    param: 'messages',
  },
  { name: 'max_tokens 0', body: { model: 'sim', messages, max_tokens: 0 }, status: 400, param: 'max_tokens' },
  { name: 'max_tokens as text', body: { model: 'sim', messages, max_tokens: '9' }, status: 400, param: 'max_tokens' },
  {
    name: 'more tokens than the model holds',
    body: { model: 'sim', messages, max_completion_tokens: 99 },
    status: 400,
    param: 'max_completion_tokens',
  },
  {
    name: 'a prompt longer than the model',
    body: { model: 'sim', messages: [{ role: 'user', content: 'x'.repeat(400) }] },
    status: 400,
    param: 'input_tokens',
  },
  {
    name: 'min_tokens above max_tokens',
    body: { model: 'sim', messages, max_tokens: 5, min_tokens: 6 },
    status: 400,
    param: 'min_tokens',
  },
  { name: 'too many choices', body: { model: 'sim', messages, n: 129 }, status: 400, param: 'n' },
  { name: 'stream as text', body: { model: 'sim', messages, stream: 'yes' }, status: 400, param: 'stream' },
  {
    name: 'stream options without a stream',
    body: { model: 'sim', messages, stream_options: {} },
    status: 400,
    param: 'stream_options',
  },
  { name: 'an empty prompt', kind: 'completion', body: { model: 'sim', prompt: '' }, status: 400, param: 'prompt' },
  {
    name: 'a list with an empty prompt',
    kind: 'completion',
    body: { model: 'sim', prompt: ['a', ''] },
    status: 400,
    param: 'prompt',
  },
  {
    name: 'an unknown encoding',
    kind: 'embedding',
    body: { model: 'sim', input: 'a', encoding_format: 'hex' },
    status: 400,
    param: 'encoding_format',
  },
])('$name is refused', ({ kind = 'chat', body, status, param }) => {
  expect(parse(kind, body)).toMatchObject({ ok: false, error: { status, param } });
});

test.each<{ name: string; kind: InferenceKind; body: Record<string, unknown>; prompts: number }>([
  { name: 'a text', kind: 'completion', body: { prompt: 'abc' }, prompts: 1 },
  { name: 'token ids', kind: 'completion', body: { prompt: [1, 2, 3] }, prompts: 1 },
  { name: 'several texts', kind: 'completion', body: { prompt: ['a', 'b'] }, prompts: 2 },
  { name: 'several lists of token ids', kind: 'embedding', body: { input: [[1], [2, 3]] }, prompts: 2 },
  {
    name: 'a chat with parts',
    kind: 'chat',
    body: { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'image_url' }] }] },
    prompts: 1,
  },
  {
    name: 'a chat in which the assistant only called tools',
    kind: 'chat',
    body: { messages: [{ role: 'assistant', content: null, tool_calls: [{ id: '1' }] }] },
    prompts: 1,
  },
])('$name is accepted', ({ kind, body, prompts }) => {
  expect(parsed(kind, { model: 'sim', ...body }).prompts).toHaveLength(prompts);
});

test('an adapter is a model of its own', () => {
  expect(parsed('chat', { model: 'lora', messages })).toMatchObject({ model: 'lora', adapter: 'lora' });
  expect(parsed('chat', { model: 'alias', messages })).toMatchObject({ model: 'alias', adapter: null });
});

test('max_completion_tokens wins over max_tokens; a completion without either stops after 16', () => {
  expect(parsed('chat', { model: 'sim', messages, max_tokens: 5, max_completion_tokens: 7 }).maxTokens).toBe(7);
  expect(parsed('completion', { model: 'sim', prompt: 'a' }).maxTokens).toBe(16);
});

test('the plan has a sequence for each choice of each prompt and counts each prompt once', () => {
  const request = parsed('completion', {
    model: 'sim',
    prompt: ['abcdefgh', 'ijkl'],
    n: 2,
    max_tokens: 3,
    ignore_eos: true,
  });
  const call = planCall(request, plan);
  expect(call.sequences.map(({ promptTokens, outputTokens }) => [promptTokens, outputTokens])).toEqual([
    [2, 3],
    [2, 3],
    [1, 3],
    [1, 3],
  ]);
  expect(new Set(call.seeds).size).toBe(4);
  expect(call.promptTokens).toBe(3);
});

test('seeds depend on model, prompt and seed, and not on the length or the way of delivery', () => {
  const seedOf = (changes: Record<string, unknown>) =>
    planCall(parsed('chat', { model: 'sim', messages, ...changes }), plan).seeds[0];
  const plain = seedOf({});
  expect(seedOf({ stream: true, max_tokens: 9 })).toBe(plain);
  expect(seedOf({ seed: 4 })).not.toBe(plain);
  expect(seedOf({ model: 'alias' })).not.toBe(plain);
  expect(seedOf({ messages: [{ role: 'user', content: 'other' }] })).not.toBe(plain);
});
