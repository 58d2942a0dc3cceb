import { describe, expect, test } from 'vitest';
import { checkPlainAnswer, streamFollower } from '../../../src/dispatcher/policy/answer-check.ts';
import type { StreamFollower } from '../../../src/dispatcher/policy/answer-reading.ts';

const PATH = '/v1/responses';
const USAGE = {
  input_tokens: 9,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 2 },
  total_tokens: 12,
};

function plain(response: object): ReturnType<typeof checkPlainAnswer> {
  return checkPlainAnswer(Buffer.from(JSON.stringify({ object: 'response', ...response })), PATH);
}

function followed(...events: readonly object[]): StreamFollower {
  const follower = streamFollower(PATH);
  for (const event of events) if (!follower.inspect(JSON.stringify(event))) break;
  return follower;
}

const CREATED = { type: 'response.created', response: { status: 'in_progress', output: [] } };
const ADDED = { type: 'response.output_item.added', item: { id: 'msg_1' } };
const DELTA = { type: 'response.output_text.delta', delta: 'Hello' };
const COMPLETED = { type: 'response.completed', response: { status: 'completed', error: null, usage: USAGE } };

describe('a plain response', () => {
  test.each([
    { status: 'completed', verdict: { kind: 'ok' } },
    { status: 'incomplete', verdict: { kind: 'ok' } },
    { status: 'cancelled', verdict: { kind: 'failed', failure: { reason: 'aborted' } } },
    { status: 'in_progress', verdict: { kind: 'failed', failure: { reason: 'aborted' } } },
    { status: 7, verdict: { kind: 'failed', failure: { reason: 'aborted' } } },
  ])('with status $status is $verdict.kind', ({ status, verdict }) => {
    expect(plain({ status, error: null })).toMatchObject(verdict);
  });

  test('tells its tokens in detail', () => {
    expect(plain({ status: 'completed', usage: USAGE })).toEqual({
      kind: 'ok',
      usage: { promptTokens: 9, completionTokens: 3, cachedTokens: 4, reasoningTokens: 2 },
    });
  });

  test.each([
    { name: "a failure of the engine's making", error: { code: 'server_error' }, verdict: { kind: 'failed' } },
    { name: "a failure of the caller's making", error: { code: 400 }, verdict: { kind: 'refused', status: 400 } },
  ])('that failed is $name', ({ error, verdict }) => {
    expect(plain({ status: 'failed', error })).toMatchObject(verdict);
  });
});

describe('a streamed response', () => {
  test('has content with its first text, not with the events before it', () => {
    expect(followed(CREATED, ADDED).hasContent).toBe(false);
    expect(followed(CREATED, ADDED, DELTA).hasContent).toBe(true);
  });

  test('is whole after its last event, with the usage told there', () => {
    const follower = followed(CREATED, ADDED, DELTA, COMPLETED);
    expect(follower.endFailure()).toBeNull();
    expect(follower.usage).toMatchObject({ promptTokens: 9, cachedTokens: 4 });
  });

  test('is cut without its last event', () => {
    expect(followed(CREATED, ADDED, DELTA).endFailure()).toMatchObject({ reason: 'truncated' });
  });

  test.each([
    { name: 'an error event', event: { type: 'error', code: '500', message: 'x' }, reason: 'error_event' },
    {
      name: 'an event that says it failed',
      event: { type: 'response.failed', response: { status: 'failed', error: { code: 'server_error' } } },
      reason: 'error_event',
    },
    {
      name: 'a last event of a generation that was stopped',
      event: { type: 'response.completed', response: { status: 'cancelled' } },
      reason: 'aborted',
    },
  ])('fails by $name, which is not forwarded', ({ event, reason }) => {
    const follower = streamFollower(PATH);
    expect(follower.inspect(JSON.stringify(CREATED))).toBe(true);
    expect(follower.inspect(JSON.stringify(event))).toBe(false);
    expect(follower.failure).toMatchObject({ reason });
  });

  test("is refused by an error event of the caller's making", () => {
    const event = { type: 'error', code: '400', message: 'too long' };
    expect(followed(CREATED, event).refusal).toEqual({ status: 400, body: JSON.stringify(event) });
  });
});
