import { expect, test } from 'vitest';
import { ChatTranscript } from '../../../../src/simulate/demo/chat-transcript.ts';

const chunk = (delta: object, finishReason: string | null = null) =>
  JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finishReason }] });

function taken(...events: readonly string[]): ChatTranscript {
  const transcript = new ChatTranscript();
  for (const [index, data] of events.entries()) transcript.take(data, 100 * (index + 1));
  return transcript;
}

test('texts are joined, and the first token is the first that says something', () => {
  const transcript = taken(
    chunk({ role: 'assistant', content: '' }),
    chunk({ content: 'Hello' }),
    chunk({ content: ' there' }, 'length'),
    JSON.stringify({ choices: [], usage: { total_tokens: 9 } }),
    '[DONE]',
  );
  expect(transcript).toMatchObject({ text: 'Hello there', finishReason: 'length', isDone: true, error: null });
  expect([transcript.firstEventAtMs, transcript.firstTokenAtMs]).toEqual([100, 200]);
});

test('an error event is kept with its code', () => {
  const error = { message: 'The queue is gone.', type: 'overloaded_error', param: null, code: 'queue_unavailable' };
  expect(taken(JSON.stringify({ error })).error).toBe('The queue is gone. (queue_unavailable)');
});

test.each(['not json', '{"choices": 5}', 'null'])('%s is no chunk', (data) => {
  expect(taken(data).error).toContain('no chat chunk');
});
