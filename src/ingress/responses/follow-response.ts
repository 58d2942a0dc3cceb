import { asError, PilotlightError } from '../../core/errors.ts';
import type { JobEventsAnswer } from '../../core/job-events.ts';
import type { JobView } from '../../core/jobs.ts';
import { formatDuration } from '../../core/units.ts';
import { clientDrained } from '../client-drain.ts';
import { type Exchange, type HandlerDeps, reportable } from '../exchange.ts';
import { endedByUs } from '../open-calls.ts';
import {
  eventText,
  FIRST_LOGGED,
  lastEventType,
  lifecycleText,
  responseErrorEvent,
} from '../policy/responses/event-text.ts';
import { responseObject } from '../policy/responses/response-object.ts';
import { COMMENT_EVERY_MS } from '../policy/stream-events.ts';
import { currentResponse } from './current-response.ts';

export interface FollowedResponse {
  readonly view: JobView;
  readonly request: Uint8Array | null;
  /** Number of the last event that the reader has; null = none. */
  readonly after: number | null;
  /** Accepted a moment ago by this very call, which is not to fail any more. */
  readonly isNew?: boolean;
  /** Besides those of every stream. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Events read from the log at one time. */
const PAGE = 100;

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
};

/**
 * Streams a stored response to one reader, whichever process runs it: the two events of its acceptance, what its execution
 * has put into the log, and at the end the response itself as the job service has it, so that nobody hears of an end that
 * is not durable. Throws `stream_position_gone` before the first byte when the reader's place is no longer there; later that
 * and every other error is an event of type "error", after which the stream ends.
 */
export async function followResponse(deps: HandlerDeps, exchange: Exchange, followed: FollowedResponse): Promise<void> {
  const reader = new ResponseReader(deps, exchange, followed);
  try {
    await reader.run();
  } catch (thrown) {
    if (!exchange.writer.headersSent || exchange.writer.destroyed) throw thrown;
    const error = endedByUs(exchange.signal) ?? reportable(thrown, deps.log, exchange.requestId);
    reader.fail(error);
  } finally {
    reader.close();
  }
}

class ResponseReader {
  readonly #deps: HandlerDeps;
  readonly #exchange: Exchange;
  readonly #request: Uint8Array | null;
  readonly #id: string;
  readonly #isNew: boolean;
  readonly #headers: Readonly<Record<string, string>>;
  #view: JobView;
  /** Number of the last event sent, or had by the reader before. */
  #last: number;
  readonly #closed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stopNews: () => void;
  #news = Promise.withResolvers<'news'>();

  constructor(
    deps: HandlerDeps,
    exchange: Exchange,
    { view, request, after, isNew = false, headers = {} }: FollowedResponse,
  ) {
    this.#deps = deps;
    this.#exchange = exchange;
    this.#request = request;
    this.#view = view;
    this.#id = view.spec.id;
    this.#last = after ?? -1;
    this.#isNew = isNew;
    this.#headers = headers;
    this.#signal = AbortSignal.any([exchange.signal, this.#closed.signal]);
    // Before the first look, so that nothing falls between.
    this.#stopNews = deps.jobEvents.onNews(this.#id, () => {
      this.#news.resolve('news');
    });
  }

  async run(): Promise<void> {
    const { clock, settings, jobs } = this.#deps;
    const untilMs = clock.monotonicMs() + settings.maxStreamHoldMs;
    // The first look decides whether there is a stream at all.
    let page: JobEventsAnswer = this.#isNew ? { kind: 'none' } : await this.#read();
    this.#exchange.writer.writeHead(200, {
      ...HEAD,
      ...this.#headers,
      'x-request-id': this.#exchange.requestId,
    });
    await this.#sendAcceptance();
    let change: Promise<JobView | null> | null = null;
    for (;;) {
      page = await this.#sendLogged(page);
      if (this.#view.outcome) {
        await this.#sendEnd(page);
        return;
      }
      if (clock.monotonicMs() > untilMs) throw followedTooLong(settings.maxStreamHoldMs);
      change ??= jobs.wait(this.#id, this.#view.spec.tenant, COMMENT_EVERY_MS, this.#signal);
      const heard = await Promise.race([this.#news.promise, change]);
      this.#signal.throwIfAborted();
      if (heard === 'news') {
        this.#news = Promise.withResolvers();
      } else {
        change = null;
        if (!heard) throw new PilotlightError('response_not_found', `The response '${this.#id}' was deleted.`);
        this.#view = heard;
        if (!heard.outcome) await this.#send(`: pilotlight status=${heard.status}\n\n`);
      }
      page = await this.#read();
    }
  }

  fail(error: PilotlightError): void {
    this.#deps.metrics.errors.inc({ code: error.code });
    const { writer } = this.#exchange;
    if (!writer.writableEnded) writer.end(responseErrorEvent(error, this.#last + 1));
  }

  close(): void {
    this.#stopNews();
    this.#closed.abort();
  }

  async #sendAcceptance(): Promise<void> {
    const queued: JobView = { ...this.#view, status: 'queued', outcome: null, finishedAtEpochMs: null };
    const response = responseObject({ view: queued, request: this.#request, result: null, wait: null });
    for (const [number, type] of ['response.created', 'response.queued'].entries()) {
      if (this.#last < number) await this.#sendNumbered(number, lifecycleText(number, type, response));
    }
  }

  /** Everything that is in the log; returns its last, empty page. */
  async #sendLogged(first: JobEventsAnswer): Promise<JobEventsAnswer> {
    let page = first;
    while (page.kind === 'page' && page.events.length > 0) {
      for (const [place, event] of page.events.entries()) {
        const number = FIRST_LOGGED + page.index + place;
        await this.#sendNumbered(number, eventText(number, event));
      }
      page = await this.#read();
    }
    return page;
  }

  async #sendEnd(page: JobEventsAnswer): Promise<void> {
    const number = FIRST_LOGGED + (page.kind === 'page' ? page.index : 0);
    const response = await currentResponse(this.#deps, this.#view, this.#request);
    const { writer } = this.#exchange;
    if (writer.destroyed) return;
    writer.end(this.#last < number ? lifecycleText(number, lastEventType(response), response) : undefined);
  }

  async #read(): Promise<JobEventsAnswer> {
    const from = this.#last < FIRST_LOGGED ? null : this.#last + 1 - FIRST_LOGGED;
    const answer = await readLog(this.#deps, this.#id, from);
    if (answer.kind === 'page') return answer;
    // The reader has everything, the last event included, which is never in the log.
    if (answer.kind === 'gone' && this.#view.outcome && from === answer.next + 1) {
      return { kind: 'page', index: answer.next, events: [] };
    }
    const neverRan = answer.kind === 'none' && from === null && this.#view.outcome?.kind !== 'completed';
    if (neverRan) return answer;
    throw positionGone(this.#id, this.#view);
  }

  async #sendNumbered(number: number, text: string): Promise<void> {
    await this.#send(text);
    this.#last = number;
  }

  async #send(text: string): Promise<void> {
    const { writer } = this.#exchange;
    const { clock, settings } = this.#deps;
    if (writer.destroyed || writer.write(text)) return;
    await clientDrained(writer, { clock, stallTimeoutMs: settings.clientStallTimeoutMs, signal: this.#signal });
  }
}

async function readLog({ jobEvents }: HandlerDeps, id: string, from: number | null): Promise<JobEventsAnswer> {
  try {
    return await jobEvents.read(id, from, PAGE);
  } catch (thrown) {
    const text = 'The events of the response cannot be read: Redis does not answer. Ask again with starting_after.';
    throw new PilotlightError('queue_unavailable', text, { cause: asError(thrown), retryAfterMs: 2_000 });
  }
}

function positionGone(id: string, view: JobView): PilotlightError {
  const message = view.outcome
    ? `The events of response '${id}' are no longer kept from there on; ask for it without stream.`
    : `The events that followed are lost, or the run that they came from broke off and response '${id}' is run again: ask for its stream without starting_after, or for the response without stream.`;
  return new PilotlightError('stream_position_gone', message, { param: 'starting_after' });
}

function followedTooLong(limitMs: number): PilotlightError {
  const message = `A stream is held for ${formatDuration(limitMs)} (timeouts.maxStreamHold). Go on with starting_after.`;
  return new PilotlightError('max_hold_exceeded', message);
}
