import type {
  CallRunner,
  DispatchRequest,
  DispatchResult,
  DispatchTimes,
  ResponseSink,
  RunOptions,
} from '../../../../src/core/dispatch.ts';
import type { PilotlightError } from '../../../../src/core/errors.ts';

const TIMES: DispatchTimes = { waitedMs: 0, firstByteMs: 1, totalMs: 2 };

export type Script = (request: DispatchRequest, sink: ResponseSink, options: RunOptions) => Promise<DispatchResult>;

/** A dispatcher that answers as the test's script says, and remembers what it was asked. */
export class FakeRunner implements CallRunner {
  readonly requests: DispatchRequest[] = [];
  script: Script = (request, sink) => Promise.resolve(answerPlain(request, sink));

  run(request: DispatchRequest, sink: ResponseSink, options: RunOptions): Promise<DispatchResult> {
    this.requests.push(request);
    return this.script(request, sink, options);
  }
}

export function completed(): DispatchResult {
  const outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null } as const;
  return { kind: 'completed', outcome, usage: null, endpointId: 'pod-1@127.0.0.1:1', times: TIMES };
}

export function failed(error: PilotlightError, begun: boolean): DispatchResult {
  const outcome = { kind: 'failed', httpStatus: error.httpStatus, code: error.code, attempts: 1, usage: null } as const;
  return { kind: 'failed', error, begun, outcome, times: TIMES };
}

export const CHAT_ANSWER = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'tiny',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
});

const EMBEDDING_ANSWER = JSON.stringify({
  object: 'list',
  model: 'tiny',
  data: [{ object: 'embedding', index: 0, embedding: [0.25, -0.5] }],
  usage: { prompt_tokens: 2, total_tokens: 2 },
});

export function answerPlain({ call }: DispatchRequest, sink: ResponseSink): DispatchResult {
  if (call.stream) return answerStream(sink, ['Hello', ' there']);
  const text = call.path === '/v1/embeddings' ? EMBEDDING_ANSWER : CHAT_ANSWER;
  sink.begin({
    status: 200,
    headers: {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
      server: 'uvicorn',
      connection: 'keep-alive',
    },
    waitedMs: 12.4,
    endpointId: 'pod-1@127.0.0.1:1',
  });
  sink.write(Buffer.from(text));
  sink.end();
  return completed();
}

export function answerStream(sink: ResponseSink, words: readonly string[]): DispatchResult {
  beginStream(sink);
  for (const word of words) sink.write(chunkEvent(word));
  sink.write(Buffer.from('data: [DONE]\n\n'));
  sink.end();
  return completed();
}

export function beginStream(sink: ResponseSink): void {
  sink.begin({ status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
}

export function chunkEvent(content: string): Buffer {
  const chunk = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'tiny',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  };
  return Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`);
}
