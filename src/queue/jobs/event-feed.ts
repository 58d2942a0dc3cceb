import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { JobEvent } from '../../core/job-events.ts';
import type { Logger } from '../../core/logger.ts';
import { mergeDeltas } from '../policy/backlog/streamed-answer.ts';
import type { JobEventLog, JobEventWriter } from './event-log.ts';

export interface EventFeedDeps {
  readonly events: JobEventLog;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Events that come within this time are written together. */
const GATHER_MS = 40;
/** More than this waiting for Redis means that nobody can follow: the feed is given up, the job goes on. */
const MAX_WAITING_BYTES = 8_388_608;

/**
 * Feeds the events of one execution into the log, in order and some milliseconds late. Never throws and never holds the job
 * up: when Redis fails, readers get the result at the end instead.
 */
export class EventFeed {
  readonly #deps: EventFeedDeps;
  readonly #id: string;
  #before: EventFeed | null;
  #waiting: JobEvent[] = [];
  #waitingBytes = 0;
  #writer: JobEventWriter | null = null;
  #writing: Promise<void> | null = null;
  #isBroken = false;
  /** Cuts the gathering short. */
  #hurry = new AbortController();

  /** `before` is the feed of the attempt before, which is given up. */
  constructor(deps: EventFeedDeps, id: string, before: EventFeed | null) {
    this.#deps = deps;
    this.#id = id;
    this.#before = before;
    before?.abandon();
  }

  /** What was not written yet never will be. */
  abandon(): void {
    this.#isBroken = true;
    this.#waiting = [];
  }

  add(event: JobEvent): void {
    if (this.#isBroken) return;
    this.#waiting.push(event);
    this.#waitingBytes += event.data.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) this.#give('more events wait than Redis takes');
    this.#writing ??= this.#write();
  }

  /** Resolves when everything so far is written, or can no longer be. */
  async flushed(): Promise<void> {
    while (this.#writing) {
      this.#hurry.abort();
      await this.#writing;
    }
  }

  /** The execution is over. */
  async end(): Promise<void> {
    await this.flushed();
    await this.#tried(async () => this.#writer?.end());
  }

  async #write(): Promise<void> {
    await this.#tried(async () => {
      // Whoever began last may write.
      await this.#before?.flushed();
      this.#before = null;
      this.#writer ??= await this.#deps.events.begin(this.#id);
      while (this.#waiting.length > 0 && !this.#isBroken) {
        const events = this.#waiting;
        this.#waiting = [];
        this.#waitingBytes = 0;
        await this.#writer.append(mergeDeltas(events));
        this.#hurry = new AbortController();
        await this.#deps.clock.sleep(GATHER_MS, this.#hurry.signal).catch(() => undefined);
      }
    });
    this.#writing = null;
  }

  async #tried(step: () => Promise<unknown>): Promise<void> {
    try {
      if (!this.#isBroken) await step();
    } catch (error) {
      this.#give(asError(error).message);
    }
  }

  #give(problem: string): void {
    this.abandon();
    this.#deps.log.warn({ jobId: this.#id, problem }, 'job.events_given_up');
  }
}
