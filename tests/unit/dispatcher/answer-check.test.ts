import { describe, expect, test } from 'vitest';
import type { ApiPath } from '../../../src/core/call.ts';
import { checkPlainAnswer, type PlainVerdict, StreamCheck } from '../../../src/dispatcher/policy/answer-check.ts';
import { chatAnswer, finishChunk, roleChunk, tokenChunk } from '../../contract/model-server-script.ts';

const CHAT: ApiPath = '/v1/chat/completions';
const check = (body: string, path: ApiPath = CHAT): PlainVerdict => checkPlainAnswer(Buffer.from(body), path);
const reasonOf = (verdict: PlainVerdict): string =>
  verdict.kind === 'failed' ? verdict.failure.reason : verdict.kind === 'refused' ? `refused ${verdict.status}` : 'ok';

describe('a plain 200', () => {
  test.each(['stop', 'length', 'tool_calls', 'function_call', 'content_filter', 'repetition', null])(
    'with finish_reason %s is done',
    (reason) => {
      expect(check(JSON.stringify(chatAnswer(reason)))).toEqual({
        kind: 'ok',
        usage: { promptTokens: 5, completionTokens: 2 },
      });
    },
  );

  test.each([
    { name: 'abort is not done', body: JSON.stringify(chatAnswer('abort')), want: 'aborted' },
    { name: 'neither is an unknown reason', body: JSON.stringify(chatAnswer('error')), want: 'aborted' },
    {
      name: 'key order and blanks do not matter',
      body: '{ "choices" : [ { "finish_reason"\n:\t"abort" } ] }',
      want: 'aborted',
    },
    {
      name: 'one aborted choice of two is enough',
      body: '{"choices":[{"finish_reason":"stop"},{"finish_reason":"abort"}]}',
      want: 'aborted',
    },
    {
      name: 'the word in the text is only text',
      body: '{"choices":[{"text":"\\"finish_reason\\":\\"abort\\"","finish_reason":"stop"}]}',
      want: 'ok',
    },
    { name: 'an error object is a failure', body: '{"error":{"message":"x","code":500}}', want: 'error_event' },
    { name: 'an error without a code too', body: '{"error":"x"}', want: 'error_event' },
    {
      name: "an error of the caller's making is refused",
      body: '{"error":{"message":"x","code":400}}',
      want: 'refused 400',
    },
    { name: 'the older shape of it', body: '{"object":"error","message":"x","code":404}', want: 'refused 404' },
    { name: "a 429 inside is not the caller's", body: '{"error":{"code":429}}', want: 'error_event' },
    { name: 'an empty error is none', body: '{"error":null,"choices":[]}', want: 'ok' },
    { name: 'no JSON', body: '<html>', want: 'invalid_answer' },
    { name: 'JSON, but no object', body: '[1]', want: 'invalid_answer' },
    { name: 'nothing', body: '', want: 'empty_answer' },
  ])('$name', ({ body, want }) => {
    expect(reasonOf(check(body))).toBe(want);
  });

  test('an embedding has no finish_reason', () => {
    const body = '{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}';
    expect(check(body, '/v1/embeddings')).toEqual({ kind: 'ok', usage: { promptTokens: 4, completionTokens: 0 } });
  });

  test.each([
    [
      'are told when the engine counts them',
      { cached_tokens: 3 },
      { reasoning_tokens: 1 },
      { cachedTokens: 3, reasoningTokens: 1 },
    ],
    ['are not told when it does not', null, undefined, {}],
  ])('cached and reasoning tokens %s', (_name, prompt_tokens_details, completion_tokens_details, want) => {
    const usage = { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details, completion_tokens_details };
    expect(check(JSON.stringify({ ...chatAnswer('stop'), usage }))).toEqual({
      kind: 'ok',
      usage: { promptTokens: 5, completionTokens: 2, ...want },
    });
  });

  test('of a large embeddings answer the usage is read without parsing the numbers', () => {
    const body = `{"data":[{"embedding":[${'0.5,'.repeat(50_000)}0]}],"usage":{"prompt_tokens": 9,"total_tokens":9}}`;
    expect(check(body, '/v1/embeddings')).toEqual({ kind: 'ok', usage: { promptTokens: 9, completionTokens: 0 } });
    expect(reasonOf(check(body.slice(0, -2), '/v1/embeddings'))).toBe('invalid_answer');
  });
});

describe('a stream', () => {
  function follow(...events: readonly unknown[]): StreamCheck {
    const stream = new StreamCheck();
    for (const data of events) {
      if (!stream.inspect(typeof data === 'string' || data === null ? data : JSON.stringify(data))) break;
    }
    return stream;
  }

  test('is complete with a finish_reason and [DONE]', () => {
    expect(follow(roleChunk, tokenChunk('a'), finishChunk('stop'), '[DONE]').endFailure()).toBeNull();
  });

  test.each([
    { name: 'without [DONE]', events: [tokenChunk('a'), finishChunk('stop')] },
    { name: 'without finish_reason', events: [tokenChunk('a'), '[DONE]'] },
    { name: 'without anything', events: [] },
    {
      name: 'with one of two choices unfinished',
      events: [
        {
          choices: [
            { index: 0, text: 'a' },
            { index: 1, text: 'b' },
          ],
        },
        { choices: [{ index: 0, finish_reason: 'stop' }] },
        '[DONE]',
      ],
    },
  ])('is truncated $name', ({ events }) => {
    expect(follow(...events).endFailure()?.reason).toBe('truncated');
  });

  test.each([
    { name: 'a role', events: [roleChunk], content: false },
    {
      name: 'a role and an empty list of tool calls',
      events: [{ choices: [{ delta: { role: 'assistant', tool_calls: [] } }] }],
      content: false,
    },
    { name: 'a comment', events: [null], content: false },
    { name: 'a usage report', events: [{ choices: [], usage: { prompt_tokens: 1 } }], content: false },
    { name: 'a token', events: [roleChunk, tokenChunk('a')], content: true },
    { name: 'reasoning', events: [{ choices: [{ delta: { reasoning_content: 'hm' } }] }], content: true },
    { name: 'a tool call', events: [{ choices: [{ delta: { tool_calls: [{ index: 0 }] } }] }], content: true },
    { name: 'text of a completion', events: [{ choices: [{ text: 'a', finish_reason: null }] }], content: true },
    { name: 'the end of an empty answer', events: [roleChunk, finishChunk('stop')], content: true },
  ])('$name is content: $content', ({ events, content }) => {
    expect(follow(...events).hasContent).toBe(content);
  });

  test.each([
    { name: 'each event has one token at least', events: [roleChunk, tokenChunk('a'), tokenChunk('b')], tokens: 2 },
    { name: 'some four characters are one', events: [tokenChunk('several tokens at once, guessed ahead')], tokens: 9 },
    { name: 'reasoning counts', events: [{ choices: [{ delta: { reasoning_content: 'hm' } }] }], tokens: 1 },
    { name: 'every choice counts', events: [{ choices: [{ text: 'a' }, { text: 'b' }] }], tokens: 2 },
    { name: 'a role and an end do not', events: [roleChunk, finishChunk('stop'), '[DONE]'], tokens: 0 },
  ])('is counted for when nobody tells its usage: $name', ({ events, tokens }) => {
    expect(follow(...events).seenTokens).toBe(tokens);
  });

  test('keeps the last usage report', () => {
    const usage = { prompt_tokens: 3, completion_tokens: 9 };
    const stream = follow(tokenChunk('a'), { choices: [], usage }, '[DONE]');
    expect(stream.usage).toEqual({ promptTokens: 3, completionTokens: 9 });
  });

  test("an error of the caller's making is a refusal with its own body", () => {
    const error = { error: { message: 'too long', code: 400 } };
    expect(follow(error)).toMatchObject({ refusal: { status: 400, body: JSON.stringify(error) }, failure: null });
  });

  test('messages hold nothing of the answer', () => {
    const failure = follow({ error: { message: 'the prompt was SECRET', code: 500 } }).failure;
    expect(failure?.message).not.toContain('SECRET');
  });
});
