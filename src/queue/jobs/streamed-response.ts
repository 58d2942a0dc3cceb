import type { ResponseHead, ResponseSink } from '../../core/dispatch.ts';
import { SseData } from '../policy/backlog/sse-data.ts';
import { readStreamedEvent } from '../policy/backlog/streamed-answer.ts';
import type { CollectedAnswer } from '../../core/collected-answer.ts';
import { EventFeed, type EventFeedDeps } from './event-feed.ts';

const ENCODER = new TextEncoder();

/**
 * The streamed answer of one stored job: its events go to the log while they come, the response in its last event is what is
 * collected as the result. Each `begin` starts anew, because stored work is run again when its stream breaks. An answer that
 * is no stream, such as a refusal, is collected as it is.
 */
export class StreamedResponse implements ResponseSink {
  readonly #deps: EventFeedDeps;
  readonly #id: string;
  readonly #collected: CollectedAnswer;
  #feed: EventFeed | null = null;
  #events: SseData | null = null;

  constructor(deps: EventFeedDeps, id: string, collected: CollectedAnswer) {
    this.#deps = deps;
    this.#id = id;
    this.#collected = collected;
  }

  waiting(): void {
    // The job's status tells it.
  }

  begin(head: ResponseHead): void {
    const isStream = head.headers['content-type']?.startsWith('text/event-stream') ?? false;
    this.#events = isStream ? new SseData() : null;
    this.#feed = isStream ? new EventFeed(this.#deps, this.#id, this.#feed) : null;
    this.#collected.begin(isStream ? { status: head.status, headers: { 'content-type': 'application/json' } } : head);
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#events) return this.#collected.write(chunk);
    for (const data of this.#events.push(chunk)) {
      const read = readStreamedEvent(data, this.#id);
      if (read.kind === 'event') this.#feed?.add(read.event);
      else if (read.kind === 'result') this.#collected.write(ENCODER.encode(read.response));
    }
    return true;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  end(): void {
    this.#collected.end();
  }

  /** Resolves when what came can be read by others, so that nobody learns of the end before. */
  async flushed(): Promise<void> {
    await this.#feed?.flushed();
  }

  /** The job has its outcome. */
  async settled(): Promise<void> {
    await this.#feed?.end();
  }
}
