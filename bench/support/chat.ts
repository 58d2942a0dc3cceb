/** What every process of the HTTP benches sends: one small chat, its plain answer and its stream. */
export const MODEL = 'bench-model';

/** About the size of a short chat turn. */
export function chatBody(stream: boolean, model = MODEL): string {
  return JSON.stringify({
    model,
    stream,
    max_tokens: 64,
    temperature: 0.7,
    messages: [
      { role: 'system', content: 'You are a helpful assistant. Answer in one short sentence.' },
      { role: 'user', content: 'Why does a kettle whistle when the water starts to boil?' },
    ],
  });
}

export const PLAIN_ANSWER = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: MODEL,
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Steam is pressed through two thin plates and makes the air tremble.' },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 34, completion_tokens: 14, total_tokens: 48 },
});

function chunk(delta: Record<string, string>, finishReason: string | null): string {
  const choices = [{ index: 0, delta, logprobs: null, finish_reason: finishReason }];
  const head = { id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_700_000_000, model: MODEL };
  return `data: ${JSON.stringify({ ...head, choices })}\n\n`;
}

/** The events of one stream, `count` in all, "[DONE]" among them. At least 3. */
export function streamEvents(count: number): readonly string[] {
  const tokens = Array.from({ length: count - 3 }, (_, index) => chunk({ content: ` token${index}` }, null));
  return [
    chunk({ role: 'assistant', content: '' }, null),
    ...tokens,
    chunk({ content: '.' }, 'stop'),
    'data: [DONE]\n\n',
  ];
}
