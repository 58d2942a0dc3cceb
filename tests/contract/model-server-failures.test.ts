import { afterEach, describe, expect, test } from 'vitest';
import type { CallTimeouts } from '../../src/core/dispatch.ts';
import { UndiciModelServer } from '../../src/dispatcher/adapters/undici-model-server.ts';
import { Attempt, type AttemptEnd } from '../../src/dispatcher/attempt.ts';
import { ByteBudget } from '../../src/dispatcher/byte-budget.ts';
import type { ModelServer } from '../../src/dispatcher/ports.ts';
import { Watchdog } from '../../src/dispatcher/watchdog.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { inferenceCall, RecordingSink } from '../unit/dispatcher/support.ts';
import { FakeModelServer } from './model-server-fake.ts';
import { scriptedHttpServer } from './model-server-http.ts';
import {
  chatAnswer,
  done,
  end,
  event,
  finishChunk,
  garbage,
  hang,
  head,
  json,
  reset,
  roleChunk,
  type Script,
  send,
  sseHead,
  tokenChunk,
} from './model-server-script.ts';

/** What dying, broken and strange engines do, and what the dispatcher makes of it. docs/dispatch.md has this table. */
interface Row {
  readonly name: string;
  readonly script: Script;
  /** Whether the call asks for a stream; default both are tried. */
  readonly stream?: boolean;
  /** "answered 200", or "failed <reason>", with "after bytes" once some were forwarded. */
  readonly want: string;
  /** What the sink got. */
  readonly forwarded?: string;
}

const answer = JSON.stringify(chatAnswer());
const sse = (...chunks: readonly unknown[]): string =>
  chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('');
const goodStream = `${sse(roleChunk, tokenChunk('Hi'), finishChunk('stop'))}data: [DONE]\n\n`;
const engineError = { error: { message: 'EngineDeadError', type: 'InternalServerError', param: null, code: 500 } };
const callerError = { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } };

const rows: readonly Row[] = [
  {
    name: 'a plain answer is delivered whole',
    stream: false,
    script: [head(200), json(chatAnswer()), end],
    want: 'answered 200',
    forwarded: answer,
  },
  {
    name: 'a stream is delivered as it is',
    stream: true,
    script: [sseHead, send(goodStream), end],
    want: 'answered 200',
    forwarded: goodStream,
  },
  { name: 'a pod that is gone refuses the connection', script: 'refuse', want: 'failed unreachable' },
  { name: 'a killed engine resets the connection before it answers', script: [reset], want: 'failed reset' },
  {
    name: 'it resets after the head of a plain answer',
    stream: false,
    script: [head(200), send('{"choices"'), reset],
    want: 'failed reset',
  },
  {
    name: 'it resets after the role chunk, which was held back',
    stream: true,
    script: [sseHead, event(roleChunk), reset],
    want: 'failed reset',
  },
  {
    name: 'it resets in mid-stream',
    stream: true,
    script: [sseHead, event(roleChunk), event(tokenChunk('Hi')), reset],
    want: 'failed reset after bytes',
    forwarded: sse(roleChunk, tokenChunk('Hi')),
  },
  {
    name: 'it resets after [DONE]: the answer is complete',
    stream: true,
    script: [sseHead, send(goodStream), reset],
    want: 'answered 200',
    forwarded: goodStream,
  },
  {
    name: 'it hangs after [DONE], as vLLM with KV events does',
    stream: true,
    script: [sseHead, send(goodStream), hang],
    want: 'answered 200',
    forwarded: goodStream,
  },
  { name: 'a stream of a hanging engine never starts', stream: true, script: [hang], want: 'failed idle_timeout' },
  {
    name: 'a plain call to a hanging engine ends with the overall timeout',
    stream: false,
    script: [hang],
    want: 'failed overall_timeout',
  },
  {
    name: 'it falls silent in mid-stream',
    stream: true,
    script: [sseHead, event(tokenChunk('Hi')), hang],
    want: 'failed idle_timeout after bytes',
    forwarded: sse(tokenChunk('Hi')),
  },
  {
    name: 'it falls silent in the middle of a plain answer',
    stream: false,
    script: [head(200), send('{'), hang],
    want: 'failed idle_timeout',
  },
  { name: 'a terminating vLLM answers 500', script: [head(500), json(engineError), end], want: 'failed server_error' },
  { name: 'a full vLLM answers 503', script: [head(503), json(engineError), end], want: 'failed busy' },
  {
    name: "a rate limit of the engine is not the caller's",
    script: [head(429), json(engineError), end],
    want: 'failed busy',
  },
  { name: 'a proxy before the engine answers 502', script: [head(502), end], want: 'failed unavailable' },
  { name: 'a redirect is not followed', script: [head(307), end], want: 'failed redirected' },
  {
    name: 'a bad request is the answer',
    script: [head(400), json(callerError), end],
    want: 'answered 400',
    forwarded: JSON.stringify(callerError),
  },
  {
    name: 'a stopped vLLM answers 200 with cut text and abort',
    stream: false,
    script: [head(200), json(chatAnswer('abort')), end],
    want: 'failed aborted',
  },
  {
    name: 'a stopped vLLM aborts a stream before its first token',
    stream: true,
    script: [sseHead, event(roleChunk), event(finishChunk('abort')), done, end],
    want: 'failed aborted',
  },
  {
    name: 'a stopped vLLM aborts a stream after tokens',
    stream: true,
    script: [sseHead, event(tokenChunk('Hi')), event(finishChunk('abort')), done, end],
    want: 'failed aborted after bytes',
    forwarded: sse(tokenChunk('Hi')),
  },
  {
    name: 'an engine that died sends an error event under 200',
    stream: true,
    script: [sseHead, event(engineError), done, end],
    want: 'failed error_event',
  },
  {
    name: 'an error event comes in mid-stream',
    stream: true,
    script: [sseHead, event(tokenChunk('Hi')), event(engineError), done, end],
    want: 'failed error_event after bytes',
    forwarded: sse(tokenChunk('Hi')),
  },
  {
    name: 'content and an error event in one chunk: nothing was forwarded yet',
    stream: true,
    script: [sseHead, send(sse(tokenChunk('Hi'), engineError)), end],
    want: 'failed error_event',
  },
  {
    name: "an error event of the caller's making becomes the answer",
    stream: true,
    script: [sseHead, event(callerError), done, end],
    want: 'answered 400',
    forwarded: JSON.stringify(callerError),
  },
  {
    name: 'an error body under 200',
    stream: false,
    script: [head(200), json(engineError), end],
    want: 'failed error_event',
  },
  { name: 'an empty 200', stream: false, script: [head(200), end], want: 'failed empty_answer' },
  { name: 'a stream without an event', stream: true, script: [sseHead, end], want: 'failed truncated' },
  {
    name: 'a stream that ends without finish_reason',
    stream: true,
    script: [sseHead, event(roleChunk), done, end],
    want: 'failed truncated',
  },
  {
    name: 'a stream that ends without [DONE]',
    stream: true,
    script: [sseHead, event(tokenChunk('Hi')), event(finishChunk('stop')), end],
    want: 'failed truncated after bytes',
    forwarded: sse(tokenChunk('Hi'), finishChunk('stop')),
  },
  {
    name: 'a 200 that is no JSON',
    stream: false,
    script: [head(200), send('<html>'), end],
    want: 'failed invalid_answer',
  },
  {
    name: 'an event that is no JSON',
    stream: true,
    script: [sseHead, send('data: <html>\n\n'), end],
    want: 'failed invalid_answer',
  },
  { name: 'a broken chunk encoding', script: [head(200, null), garbage], want: 'failed invalid_answer' },
  {
    name: 'a stream call answered with a JSON body',
    stream: true,
    script: [head(200), json(chatAnswer()), end],
    want: 'failed invalid_answer',
  },
  {
    name: 'a plain answer without content type',
    stream: false,
    script: [head(200, null), json(chatAnswer()), end],
    want: 'answered 200',
    forwarded: answer,
  },
  {
    name: 'a stream without content type',
    stream: true,
    script: [head(200, null), send(goodStream), end],
    want: 'answered 200',
    forwarded: goodStream,
  },
  {
    name: 'a plain answer over the limit',
    stream: false,
    script: [head(200), send('x'.repeat(70_000)), end],
    want: 'failed too_large',
  },
  {
    name: 'one event over the limit',
    stream: true,
    script: [sseHead, send(`data: ${'x'.repeat(20_000)}`), hang],
    want: 'failed too_large',
  },
  {
    name: 'a stream cut anywhere, even inside a letter, arrives the same',
    stream: true,
    script: [
      sseHead,
      ...[...Buffer.from(`${sse(tokenChunk('Grüße 🙂'), finishChunk('stop'))}data: [DONE]\n\n`)].map((byte) =>
        send(Uint8Array.of(byte)),
      ),
      end,
    ],
    want: 'answered 200',
    forwarded: `${sse(tokenChunk('Grüße 🙂'), finishChunk('stop'))}data: [DONE]\n\n`,
  },
];

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const adapters: Record<string, (script: Script) => Promise<{ server: ModelServer; url: string }>> = {
  async undici(script) {
    const remote = await scriptedHttpServer(script);
    const server = new UndiciModelServer({ connectTimeoutMs: 500 });
    cleanups.push(
      () => server.close(),
      () => remote.close(),
    );
    return { server, url: remote.url };
  },
  fake: (script) => Promise.resolve({ server: new FakeModelServer({ 'http://fake': [script] }), url: 'http://fake' }),
};

/** Short where the engine hangs, generous where it only has to be read. */
const timeoutsFor = (script: Script): CallTimeouts =>
  script !== 'refuse' && script.includes(hang)
    ? { maxWaitMs: null, idleMs: 150, overallMs: 400 }
    : { maxWaitMs: null, idleMs: 10_000, overallMs: 20_000 };

async function run(
  { server, url }: { server: ModelServer; url: string },
  stream: boolean,
  timeouts: CallTimeouts,
): Promise<{ end: AttemptEnd; sink: RecordingSink }> {
  const sink = new RecordingSink();
  const collected = new ByteBudget(1_000_000);
  const watchdog = new Watchdog(systemClock);
  const attempt = new Attempt(
    {
      modelServer: server,
      clock: systemClock,
      collected,
      limits: { maxEventBytes: 10_000, maxPlainAnswerBytes: 65_536 },
    },
    {
      call: inferenceCall({ stream }),
      endpointId: 'pod@server',
      waitedMs: 0,
      endpointUrl: url,
      timeouts,
      sink,
      signal: new AbortController().signal,
      onBegin: () => undefined,
    },
  );
  watchdog.watch(attempt);
  const ended = await attempt.run();
  watchdog.close();
  expect(collected.usedBytes).toBe(0);
  return { end: ended, sink };
}

function described(attemptEnd: AttemptEnd): string {
  if (attemptEnd.kind === 'answered') return `answered ${attemptEnd.status}`;
  const what = attemptEnd.kind === 'failed' ? `failed ${attemptEnd.failure.reason}` : 'stopped';
  return attemptEnd.begun ? `${what} after bytes` : what;
}

describe.each(Object.entries(adapters))('what engines do, through ModelServer/%s', (_name, open) => {
  const cases = rows.flatMap((row) =>
    (row.stream === undefined ? [true, false] : [row.stream]).map((stream) => ({
      ...row,
      stream,
      name: `${row.name} (${stream ? 'stream' : 'plain'})`,
    })),
  );

  test.each(cases)('$name', async ({ script, stream, want, forwarded }) => {
    const { end: attemptEnd, sink } = await run(await open(script), stream, timeoutsFor(script));
    expect(described(attemptEnd)).toBe(want);
    expect(sink.text).toBe(forwarded ?? '');
    expect(sink.ended).toBe(attemptEnd.kind === 'answered');
  });
});
