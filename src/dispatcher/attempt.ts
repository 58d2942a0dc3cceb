import type { InferenceCall, Usage } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { CallTimeouts, ResponseHead, ResponseSink } from '../core/dispatch.ts';
import type { ByteBudget } from './byte-budget.ts';
import { Collector } from './collector.ts';
import { checkPlainAnswer, streamFollower } from './policy/answer-check.ts';
import type { StreamFollower } from './policy/answer-reading.ts';
import { classifyStatus, type Failure, type FailureReason } from './policy/failure.ts';
import { SseSplitter } from './policy/sse-splitter.ts';
import type { ModelServer, TransportFailure, UpstreamCall, UpstreamReceiver } from './ports.ts';
import { passedHeaders } from './response-head.ts';

export type AttemptEnd =
  /** The sink has the whole answer. `status` is the engine's: its final refusals are answers too. */
  | { readonly kind: 'answered'; readonly status: number; readonly usage: Usage | null }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly begun: boolean }
  /** `stop` was called, or the sink threw. */
  | { readonly kind: 'stopped'; readonly begun: boolean };

export interface AttemptLimits {
  readonly maxEventBytes: number;
  readonly maxPlainAnswerBytes: number;
}

export interface AttemptDeps {
  readonly modelServer: ModelServer;
  readonly clock: Clock;
  readonly collected: ByteBudget;
  readonly limits: AttemptLimits;
}

export interface AttemptInput {
  readonly call: InferenceCall;
  readonly endpointId: string;
  readonly endpointUrl: string;
  /** In the live order, told with the answer's head. */
  readonly waitedMs: number;
  readonly timeouts: CallTimeouts;
  readonly sink: ResponseSink;
  /** Aborts when the call is over for any reason; ends a wait for a slow reader. */
  readonly signal: AbortSignal;
  readonly onBegin: () => void;
}

const ENCODER = new TextEncoder();

/**
 * One try of one call on one endpoint.
 *
 * | mode    | until                                  | what arrives is                                           |
 * | ------- | -------------------------------------- | --------------------------------------------------------- |
 * | head    | the status line                        | –                                                         |
 * | collect | the end of a plain answer or a refusal | kept up to a limit, checked, then given to the sink whole |
 * | hold    | the first event with content           | checked event by event and kept                           |
 * | stream  | the end of the stream                  | checked event by event and forwarded at once              |
 * | over    | –                                      | ignored                                                   |
 *
 * The retry window ends where `stream` begins or a collected answer has passed its check. vLLM sends the chunk that
 * announces the role together with its first token, so holding it costs no time and lets an abort right at the start
 * be repeated elsewhere.
 */
export class Attempt implements UpstreamReceiver {
  readonly #deps: AttemptDeps;
  readonly #input: AttemptInput;
  readonly #startedMs: number;
  #mode: 'head' | 'collect' | 'hold' | 'stream' | 'over' = 'head';
  #upstream: UpstreamCall | null = null;
  #resolve: (end: AttemptEnd) => void = () => undefined;
  #status = 0;
  #headers: Readonly<Record<string, string>> = {};
  #refusal = false;
  readonly #kept: Collector;
  #stream: { readonly splitter: SseSplitter; readonly check: StreamFollower } | null = null;
  #lastByteMs: number;
  #paused = false;

  constructor(deps: AttemptDeps, input: AttemptInput) {
    this.#deps = deps;
    this.#input = input;
    this.#startedMs = deps.clock.monotonicMs();
    this.#lastByteMs = this.#startedMs;
    this.#kept = new Collector(deps.limits.maxPlainAnswerBytes, deps.collected);
  }

  /** Tokens of a stream so far. */
  get seenTokens(): number {
    return this.#stream?.check.seenTokens ?? 0;
  }

  /** Sends the call. Resolves once, never rejects; afterwards nothing of it is open. */
  run(): Promise<AttemptEnd> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      const { call, endpointUrl } = this.#input;
      const upstream = this.#deps.modelServer.open(
        { endpointUrl, path: call.path, stream: call.stream, body: call.body, headers: call.forwardHeaders },
        this,
      );
      // It may have ended before `open` returned.
      if (this.#isOver()) upstream.abort();
      else this.#upstream = upstream;
    });
  }

  /** Closes the connection now. */
  stop(): void {
    this.#end({ kind: 'stopped', begun: this.#begun() });
  }

  /** A plain answer has no byte before it is complete, so its silence is bounded by the overall timeout alone. */
  sweep(nowMs: number): void {
    const { idleMs, overallMs } = this.#input.timeouts;
    if (nowMs - this.#startedMs > overallMs) {
      this.#timedOut('overall_timeout', `The model server did not finish within ${overallMs} ms.`);
      return;
    }
    const silenceCounts = this.#mode !== 'head' || this.#input.call.stream;
    if (silenceCounts && !this.#paused && nowMs - this.#lastByteMs > idleMs) {
      this.#timedOut('idle_timeout', `The model server sent nothing for ${idleMs} ms.`);
    }
  }

  onHead(status: number, headers: Readonly<Record<string, string>>): void {
    if (this.#isOver()) return;
    this.#lastByteMs = this.#deps.clock.monotonicMs();
    this.#status = status;
    this.#headers = headers;
    const meaning = classifyStatus(status);
    if (meaning.kind === 'failed') {
      this.#fail(meaning.failure);
      return;
    }
    this.#refusal = meaning.kind === 'refusal';
    if (this.#refusal || !this.#input.call.stream) {
      this.#mode = 'collect';
    } else if (headers['content-type']?.startsWith('application/json')) {
      this.#fail({ reason: 'invalid_answer', message: 'The model server answered a streaming call without a stream.' });
    } else {
      this.#mode = 'hold';
      this.#stream = {
        splitter: new SseSplitter(this.#deps.limits.maxEventBytes),
        check: streamFollower(this.#input.call.path),
      };
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.#isOver()) return;
    this.#lastByteMs = this.#deps.clock.monotonicMs();
    if (this.#stream) this.#streamed(this.#stream, chunk);
    else this.#keep(chunk);
  }

  onEnd(): void {
    if (this.#isOver()) return;
    if (this.#stream) this.#streamEnded(this.#stream.check);
    else this.#collectEnded();
  }

  onFailure(failure: TransportFailure): void {
    if (this.#isOver()) return;
    if (this.#completeAnyway()) return;
    const reason: FailureReason = failure.kind === 'protocol' ? 'invalid_answer' : failure.kind;
    this.#fail({ reason, message: failure.message });
  }

  #streamed({ splitter, check }: { splitter: SseSplitter; check: StreamFollower }, chunk: Uint8Array): void {
    const { forward, stopped, overflow } = splitter.push(chunk, (data) => check.inspect(data));
    if (this.#mode === 'hold') {
      if (stopped) {
        this.#refusedOrFailed(check);
        return;
      }
      if (forward) this.#keep(forward);
      if (check.hasContent) this.#openStream();
    } else if (forward) {
      this.#write(forward);
    }
    if (stopped) this.#refusedOrFailed(check);
    else if (overflow) {
      const limit = this.#deps.limits.maxEventBytes;
      this.#fail({ reason: 'too_large', message: `The model server sent one event of more than ${limit} bytes.` });
    }
  }

  #refusedOrFailed({ refusal, failure }: StreamFollower): void {
    if (refusal && this.#mode === 'hold') {
      const head = { status: refusal.status, headers: { 'content-type': 'application/json' } };
      this.#deliver(head, ENCODER.encode(refusal.body), null);
      return;
    }
    this.#fail(failure ?? { reason: 'error_event', message: 'The model server reported an error inside its stream.' });
  }

  #streamEnded(check: StreamFollower): void {
    const failure = check.endFailure();
    if (failure) {
      this.#fail(failure);
      return;
    }
    if (this.#mode === 'hold') this.#openStream();
    this.#guard(() => this.#input.sink.end());
    this.#end({ kind: 'answered', status: this.#status, usage: check.usage });
  }

  #openStream(): void {
    if (this.#isOver()) return;
    const held = this.#kept.take();
    this.#mode = 'stream';
    this.#begin({ status: this.#status, headers: passedHeaders(this.#headers, 'text/event-stream; charset=utf-8') });
    if (held.length > 0) this.#write(held);
  }

  #collectEnded(): void {
    const body = this.#kept.take();
    if (this.#refusal) {
      this.#deliver(this.#plainHead(this.#status, body), body, null);
      return;
    }
    const verdict = checkPlainAnswer(body, this.#input.call.path);
    if (verdict.kind === 'failed') this.#fail(verdict.failure);
    else if (verdict.kind === 'refused') this.#deliver(this.#plainHead(verdict.status, body), body, null);
    else this.#deliver(this.#plainHead(this.#status, body), body, verdict.usage);
  }

  #plainHead(status: number, body: Uint8Array): ResponseHead {
    const headers = passedHeaders(this.#headers, 'application/json');
    return { status, headers: { ...headers, 'content-length': String(body.length) } };
  }

  /** A whole answer at once. */
  #deliver(head: ResponseHead, body: Uint8Array, usage: Usage | null): void {
    this.#mode = 'stream';
    this.#begin(head);
    this.#guard(() => {
      if (body.length > 0) this.#input.sink.write(body);
      this.#input.sink.end();
    });
    this.#end({ kind: 'answered', status: head.status, usage });
  }

  #begin(head: ResponseHead): void {
    const { onBegin, sink, waitedMs, endpointId } = this.#input;
    onBegin();
    this.#guard(() => sink.begin({ ...head, waitedMs, endpointId }));
  }

  #write(bytes: Uint8Array): void {
    this.#guard(() => {
      if (!this.#input.sink.write(bytes)) this.#waitForReader();
    });
  }

  #waitForReader(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#upstream?.pause();
    this.#input.sink.drained(this.#input.signal).then(
      () => {
        this.#paused = false;
        this.#lastByteMs = this.#deps.clock.monotonicMs();
        this.#upstream?.resume();
      },
      () => this.stop(),
    );
  }

  #keep(chunk: Uint8Array): void {
    const failure = this.#kept.add(chunk);
    if (failure) this.#fail(failure);
  }

  #timedOut(reason: 'overall_timeout' | 'idle_timeout', message: string): void {
    if (this.#isOver()) return;
    if (!this.#completeAnyway()) this.#fail({ reason, message });
  }

  /** A stream that is complete but for the connection's farewell is an answer: vLLM with KV events hangs so on SIGTERM. */
  #completeAnyway(): boolean {
    const check = this.#stream?.check;
    if (!check || check.endFailure()) return false;
    this.#streamEnded(check);
    return true;
  }

  #fail(failure: Failure): void {
    this.#end({ kind: 'failed', failure, begun: this.#begun() });
  }

  /** A sink that throws has lost its reader. */
  #guard(deliver: () => void): void {
    if (this.#isOver()) return;
    try {
      deliver();
    } catch {
      this.stop();
    }
  }

  #begun(): boolean {
    return this.#mode === 'stream';
  }

  #isOver(): boolean {
    return this.#mode === 'over';
  }

  #end(end: AttemptEnd): void {
    if (this.#isOver()) return;
    this.#mode = 'over';
    this.#kept.drop();
    this.#upstream?.abort();
    this.#resolve(end);
  }
}
