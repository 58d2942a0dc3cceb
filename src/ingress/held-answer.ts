import type { Clock } from '../core/clock.ts';
import type { ResponseHead, ResponseSink, WaitStatus } from '../core/dispatch.ts';
import type { PilotlightError } from '../core/errors.ts';
import { clientDrained } from './client-drain.ts';
import { forwardedAnswerHeaders } from './policy/answer-headers.ts';
import { errorAnswer, refusedInStream } from './policy/error-answer.ts';
import { ANNOUNCE_AFTER_MS, COMMENT_EVERY_MS, lastEventEnd, waitComment } from './policy/stream-events.ts';
import type { AnswerWriter } from './ports.ts';

export interface HeldAnswerOptions {
  readonly writer: AnswerWriter;
  readonly clock: Clock;
  readonly requestId: string;
  readonly stream: boolean;
  /** An error inside the stream, in the form of the API that was called. */
  readonly errorEvent: (error: PilotlightError) => string;
  readonly clientStallTimeoutMs: number;
  readonly exposeEndpoint: boolean;
  /** The clock of its TTL stands still while the pool has no slots. */
  readonly ttlMayStop?: boolean;
  /** Called when the call starts to wait for a slot. */
  readonly onWaiting: () => void;
  /** Headers of our own, asked for when the head is written. They win over the model server's. */
  readonly ownHeaders?: () => Record<string, string>;
}

/** Refusals of model servers are short; a longer one is cut. */
const MAX_REFUSAL_BYTES = 65_536;

/** No event of a chat stream is longer; what seems so is passed on in pieces. */
const MAX_PARTIAL_EVENT_BYTES = 262_144;

const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // Asks nginx-like proxies not to buffer.
  'x-accel-buffering': 'no',
};

/**
 * The answer to one held call.
 *
 * | state     | the client has                  | leaves by                                                              |
 * | --------- | ------------------------------- | ---------------------------------------------------------------------- |
 * | fresh     | nothing                         | long wait of a stream → announced · begin → relaying · fail → closed     |
 * | announced | 200, SSE head, comments         | begin(200, SSE) → relaying · begin(other) → refused · fail → closed      |
 * | relaying  | the model server's head         | end → closed · fail → closed (error event, or a cut connection)          |
 * | refused   | as announced                    | end, fail → closed (error event)                                       |
 * | closed    | a complete or a cut answer      | –                                                                      |
 */
export class HeldAnswer implements ResponseSink {
  readonly #options: HeldAnswerOptions;
  readonly #writer: AnswerWriter;
  #state: 'fresh' | 'announced' | 'relaying' | 'refused' | 'closed' = 'fresh';
  #status: WaitStatus | null = null;
  #timers: AbortController | null = null;
  #relaysEvents = false;
  #partialEvent: Uint8Array | null = null;
  #refusal: Uint8Array[] = [];
  #refusalBytes = 0;
  /** Of an answer whose length was told; else null. */
  #bytesLeft: number | null = null;

  constructor(options: HeldAnswerOptions) {
    this.#options = options;
    this.#writer = options.writer;
  }

  /** Nothing more will be told to the client. */
  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  waiting(status: WaitStatus): void {
    const phaseChanged = status.phase !== this.#status?.phase;
    if (!this.#status) this.#options.onWaiting();
    this.#status = status;
    if (!this.#options.stream) return;
    if (this.#state === 'announced' && phaseChanged) this.#comment();
    if (this.#state !== 'fresh') return;
    if (status.etaMs !== null && status.etaMs > ANNOUNCE_AFTER_MS) this.#announce();
    else if (!this.#timers) void this.#announceLater();
  }

  begin(head: ResponseHead): void {
    this.#timers?.abort();
    const events = head.status === 200 && isEventStream(head);
    if (this.#state === 'announced') {
      this.#state = events ? 'relaying' : 'refused';
    } else {
      this.#state = 'relaying';
      this.#writer.writeHead(head.status, this.#relayedHeaders(head, events));
    }
    this.#relaysEvents = events;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state === 'refused') return this.#collectRefusal(chunk);
    if (this.#state !== 'relaying') return true;
    if (this.#relaysEvents) return this.#writeEvents(chunk);
    return this.#writePlain(chunk);
  }

  /** Rejects when the client is gone, and cuts off one that reads nothing for `clientStallTimeoutMs`. */
  drained(signal: AbortSignal): Promise<void> {
    const { writer, clock, clientStallTimeoutMs } = this.#options;
    return clientDrained(writer, { clock, stallTimeoutMs: clientStallTimeoutMs, signal });
  }

  end(): void {
    if (this.#state === 'refused') {
      this.fail(refusedInStream(Buffer.concat(this.#refusal)));
    } else if (this.#state === 'relaying' && this.#bytesLeft !== null && this.#bytesLeft !== 0) {
      this.#cut();
    } else if (this.#state === 'relaying') {
      this.#close(this.#partialEvent ?? undefined);
    }
  }

  /** Ends the answer with an error in the form that the client can still see. */
  fail(error: PilotlightError): void {
    if (this.#state === 'fresh') {
      const answer = errorAnswer(error);
      const headers = { ...answer.headers, ...this.#ownHeaders() };
      this.#writer.writeHead(answer.status, { ...headers, 'content-length': String(Buffer.byteLength(answer.body)) });
      this.#close(answer.body);
    } else if (this.#state === 'relaying' && !this.#relaysEvents) {
      this.#cut();
    } else if (this.#state !== 'closed') {
      this.#close(this.#options.errorEvent(error));
    }
  }

  /** Stops telling anything to a client that is gone. */
  abandon(): void {
    this.#timers?.abort();
    this.#state = 'closed';
  }

  #relayedHeaders(head: ResponseHead, events: boolean): Record<string, string> {
    const headers = forwardedAnswerHeaders(head.headers);
    // Spares the framing of a chunked answer. Events may be held back or added, so they have no length.
    const lengthBytes = events ? undefined : headers['content-length'];
    if (lengthBytes === undefined) delete headers['content-length'];
    else this.#bytesLeft = Number(lengthBytes);
    Object.assign(headers, this.#ownHeaders());
    if (head.waitedMs !== undefined) headers['x-pilotlight-queue-ms'] = String(Math.round(head.waitedMs));
    if (this.#options.exposeEndpoint && head.endpointId !== undefined)
      headers['x-pilotlight-endpoint'] = head.endpointId;
    return headers;
  }

  #ownHeaders(): Record<string, string> {
    return { ...this.#options.ownHeaders?.(), 'x-request-id': this.#options.requestId };
  }

  #announce(): void {
    this.#state = 'announced';
    this.#writer.writeHead(200, { ...EVENT_STREAM_HEADERS, ...this.#ownHeaders() });
    this.#comment();
    void this.#keepInformed();
  }

  async #announceLater(): Promise<void> {
    const signal = this.#restartTimers();
    if (await this.#slept(ANNOUNCE_AFTER_MS, signal)) this.#announce();
  }

  async #keepInformed(): Promise<void> {
    const signal = this.#restartTimers();
    while (await this.#slept(COMMENT_EVERY_MS, signal)) this.#comment();
  }

  /** False when the answer has begun or ended meanwhile. */
  async #slept(delayMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#options.clock.sleep(delayMs, signal);
      return !signal.aborted;
    } catch {
      return false;
    }
  }

  #restartTimers(): AbortSignal {
    this.#timers?.abort();
    this.#timers = new AbortController();
    return this.#timers.signal;
  }

  #comment(): void {
    // A client that does not read gets no more comments than fit in its socket.
    if (!this.#status || this.#writer.writableNeedDrain) return;
    this.#writer.write(waitComment(this.#status, this.#options.ttlMayStop));
  }

  #writePlain(chunk: Uint8Array): boolean {
    if (this.#bytesLeft !== null) {
      this.#bytesLeft -= chunk.length;
      // More than was told would be read as the start of another answer.
      if (this.#bytesLeft < 0) this.#cut();
    }
    return this.#state === 'closed' || this.#writer.write(chunk);
  }

  #writeEvents(chunk: Uint8Array): boolean {
    const bytes = this.#partialEvent ? Buffer.concat([this.#partialEvent, chunk]) : chunk;
    const end = bytes.length > MAX_PARTIAL_EVENT_BYTES ? bytes.length : lastEventEnd(bytes);
    this.#partialEvent = end === bytes.length ? null : bytes.subarray(end);
    return end === 0 || this.#writer.write(bytes.subarray(0, end));
  }

  #collectRefusal(chunk: Uint8Array): boolean {
    if (this.#refusalBytes < MAX_REFUSAL_BYTES) this.#refusal.push(chunk);
    this.#refusalBytes += chunk.length;
    return true;
  }

  /** Half an answer must not look like a whole one. */
  #cut(): void {
    this.#state = 'closed';
    this.#writer.destroy();
  }

  #close(last?: Uint8Array | string): void {
    this.#timers?.abort();
    this.#state = 'closed';
    this.#writer.end(last);
  }
}

function isEventStream(head: ResponseHead): boolean {
  for (const name of Object.keys(head.headers)) {
    if (name.toLowerCase() === 'content-type') return head.headers[name]?.startsWith('text/event-stream') ?? false;
  }
  return false;
}
