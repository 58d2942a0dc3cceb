import type { ApiError } from '../policy/api-error.ts';
import { fillerText } from '../policy/filler-text.ts';
import { ResponseEvents } from '../policy/responses.ts';
import { type Reply, type ReplySource, usageOf } from './reply.ts';

const STREAM_HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' } as const;

/** Streams one response. What comes while the reader is slow goes out as one event once the socket has drained. */
export class ResponseReply implements Reply {
  readonly #source: ReplySource;
  readonly #events: ResponseEvents;
  /** Tokens written; −1 = not even the opening of the message. */
  #written = -1;
  #blocked = false;
  #over = false;

  constructor(source: ReplySource) {
    this.#source = source;
    this.#events = new ResponseEvents(source.head, source.request.echo);
  }

  start(): void {
    const { response } = this.#source;
    response.writeHead(200, STREAM_HEADERS);
    this.#write(this.#events.beginning());
    response.on('drain', () => {
      this.#blocked = false;
      this.#catchUp();
    });
  }

  grown(): void {
    this.#catchUp();
  }

  ended(): void {
    this.#catchUp();
  }

  fail(error: ApiError): void {
    if (this.#over || this.#source.response.destroyed) return;
    this.#over = true;
    this.#source.response.end(this.#events.failure(error));
  }

  #catchUp(): void {
    const [sequence] = this.#source.sequences;
    if (this.#over || this.#blocked || sequence === undefined) return;
    const { generatedTokens, state, finishReason } = sequence;
    const seed = this.#source.plan.seeds[0] ?? 0;
    if (generatedTokens > this.#written && (generatedTokens > 0 || state === 'finished')) {
      const opening = this.#written < 0 ? this.#events.opening() : '';
      const delta = fillerText(seed, Math.max(0, this.#written), generatedTokens);
      this.#written = generatedTokens;
      this.#write(opening + (delta === '' ? '' : this.#events.text(delta)));
    }
    if (state !== 'finished') return;
    this.#over = true;
    const text = fillerText(seed, 0, generatedTokens);
    this.#source.response.end(this.#events.ending(text, finishReason ?? 'abort', usageOf(this.#source)));
  }

  #write(events: string): void {
    const { response } = this.#source;
    if (!response.destroyed && !response.write(events)) this.#blocked = true;
  }
}
