import { STREAM_END, StreamEvents } from '../policy/answers.ts';
import { type ApiError, errorJson } from '../policy/api-error.ts';
import { fillerText } from '../policy/filler-text.ts';
import { type Reply, type ReplySource, usageOf } from './reply.ts';

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' } as const;

/**
 * Answers with server-sent events, one for each token. While the reader is slow nothing is written and nothing is
 * kept: the tokens that came meanwhile go out as one event once the socket has drained, as vLLM merges them.
 */
export class StreamReply implements Reply {
  readonly #source: ReplySource;
  readonly #events: StreamEvents;
  /** Tokens written, of each choice; −1 = not even its opening, null = its end was written. */
  readonly #written: (number | null)[];
  #blocked = false;
  #over = false;

  constructor(source: ReplySource, kind: 'chat' | 'completion') {
    this.#source = source;
    this.#events = new StreamEvents(kind, source.head);
    this.#written = source.plan.sequences.map(() => -1);
  }

  /** The status goes out before the first token, as vLLM's does: from here on errors are events. */
  start(): void {
    const { response } = this.#source;
    response.writeHead(200, STREAM_HEADERS);
    response.flushHeaders();
    response.on('drain', () => {
      this.#blocked = false;
      for (const choice of this.#written.keys()) this.#catchUp(choice);
      this.#closeIfDone();
    });
  }

  grown(choice: number): void {
    if (!this.#blocked) this.#catchUp(choice);
  }

  ended(choice: number): void {
    if (this.#blocked) return;
    this.#catchUp(choice);
    this.#closeIfDone();
  }

  fail(error: ApiError): void {
    if (this.#over || this.#source.response.destroyed) return;
    this.#over = true;
    this.#source.response.end(`data: ${errorJson(error)}\n\n${STREAM_END}`);
  }

  #catchUp(choice: number): void {
    const sequence = this.#source.sequences[choice];
    const written = this.#written[choice];
    if (this.#over || sequence === undefined || written == null) return;
    const done = sequence.state === 'finished';
    if (!done && sequence.generatedTokens <= written) return;
    const text = fillerText(this.#source.plan.seeds[choice] ?? 0, Math.max(0, written), sequence.generatedTokens);
    const opening = written < 0 ? this.#events.opening(choice) : '';
    this.#written[choice] = done ? null : sequence.generatedTokens;
    this.#write(opening + this.#events.text(choice, text, done ? sequence.finishReason : null));
  }

  #write(events: string): void {
    const { response } = this.#source;
    if (!response.destroyed && !response.write(events)) this.#blocked = true;
  }

  #closeIfDone(): void {
    if (this.#over || this.#written.some((written) => written !== null)) return;
    this.#over = true;
    const usage = this.#source.request.includeUsage ? this.#events.usage(usageOf(this.#source)) : '';
    this.#source.response.end(usage + STREAM_END);
  }
}
