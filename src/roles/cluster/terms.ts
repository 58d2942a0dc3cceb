import type { Autoscaler } from '../../autoscaler/autoscaler.ts';
import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Leadership } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';

export interface TermsDeps {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly log: Logger;
  /** A new autoscaler for a new term. */
  readonly open: () => Autoscaler;
}

/** A term that could not begin (Redis is away, and with it what was learned) is tried again after this. */
const RETRY_MS = 1_000;

/** One autoscaler for each term that this process leads, and none in between. */
export class Terms {
  readonly #deps: TermsDeps;
  readonly #unlisten: () => void;
  #current: Autoscaler | null = null;
  #term: number | null = null;
  readonly #closing = new AbortController();
  /** Starts and stops, one after the other. */
  #changes: Promise<void> = Promise.resolve();

  constructor(deps: TermsDeps) {
    this.#deps = deps;
    this.#unlisten = deps.leadership.onChange(() => this.#follow());
    this.#follow();
  }

  /** Null while another process leads. */
  get current(): Autoscaler | null {
    return this.#current;
  }

  /** Ends the term's autoscaler and saves what it learned; the Lease is the caller's to release after that. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#unlisten();
    this.#follow();
    await this.#changes;
  }

  #follow(): void {
    // A term that is over must act no more at once, whatever still waits in line.
    if (this.#isOver()) void this.#current?.stop();
    this.#changes = this.#changes
      .then(() => this.#apply())
      .catch((thrown: unknown) => {
        this.#deps.log.error({ problem: asError(thrown).message }, 'term.change_failed');
      });
  }

  async #apply(): Promise<void> {
    const { log, leadership, open } = this.#deps;
    if (this.#current !== null && this.#isOver()) {
      await this.#current.stop();
      log.info({ term: this.#term }, 'term.ended');
      this.#current = null;
    }
    const term = leadership.term();
    if (this.#current !== null || this.#closing.signal.aborted || term === null || !leadership.isLeader()) return;
    log.info({ term }, 'term.begun');
    this.#term = term;
    const autoscaler = open();
    this.#current = autoscaler;
    await autoscaler.start().catch((thrown: unknown) => this.#startFailed(autoscaler, asError(thrown)));
  }

  /** Nothing scales until the next try, which also ends a term that is over meanwhile. */
  async #startFailed(autoscaler: Autoscaler, { message }: Error): Promise<void> {
    const { log, clock } = this.#deps;
    log.warn({ term: this.#term, problem: message }, 'term.start_failed');
    this.#current = null;
    await autoscaler.stop();
    await clock.sleep(RETRY_MS, this.#closing.signal).catch(() => undefined);
    this.#follow();
  }

  /** Also when this process leads again, in another term. */
  #isOver(): boolean {
    const { leadership } = this.#deps;
    return this.#closing.signal.aborted || !leadership.isLeader() || leadership.term() !== this.#term;
  }
}
