/** What a model server does with one call, step by step. Played over a socket and in memory, with the same result. */
export type Step =
  /** Status line and headers; the body is chunked. */
  | { readonly do: 'head'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly do: 'send'; readonly bytes: string | Uint8Array }
  /** The proper end of the body; the connection stays open. */
  | { readonly do: 'end' }
  /** The connection breaks with RST. */
  | { readonly do: 'reset' }
  /** Bytes that are not HTTP. */
  | { readonly do: 'garbage' }
  /** Nothing more, and the connection stays open. */
  | { readonly do: 'hang' };

/** 'refuse' = nobody listens on the address. */
export type Script = readonly Step[] | 'refuse';

export const head = (status: number, contentType: string | null = 'application/json'): Step => ({
  do: 'head',
  status,
  headers: contentType === null ? {} : { 'content-type': contentType },
});
export const sseHead: Step = head(200, 'text/event-stream; charset=utf-8');
export const send = (bytes: string | Uint8Array): Step => ({ do: 'send', bytes });
export const event = (data: unknown): Step => send(`data: ${JSON.stringify(data)}\n\n`);
export const end: Step = { do: 'end' };
export const reset: Step = { do: 'reset' };
export const garbage: Step = { do: 'garbage' };
export const hang: Step = { do: 'hang' };
export const done: Step = send('data: [DONE]\n\n');

export const roleChunk = { choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] };
export const tokenChunk = (content: string) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
export const finishChunk = (reason: string) => ({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
export const chatAnswer = (reason: string | null = 'stop') => ({
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hi.' }, finish_reason: reason }],
  usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
});
export const json = (value: unknown): Step => send(JSON.stringify(value));
