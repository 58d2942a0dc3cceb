import type { Autoscaler } from '../../autoscaler/autoscaler.ts';
import { asError } from '../../core/errors.ts';
import type { Leadership } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';

export interface TermsDeps {
  readonly leadership: Leadership;
  readonly log: Logger;
  /** A new autoscaler for a new term. */
  readonly open: () => Autoscaler;
}

/** One autoscaler for each term that this process leads, and none in between. */
export class Terms {
  readonly #deps: TermsDeps;
  readonly #unlisten: () => void;
  #current: Autoscaler | null = null;
  #term: number | null = null;
  #closed = false;
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
    this.#closed = true;
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
    if (this.#current !== null || this.#closed || term === null || !leadership.isLeader()) return;
    log.info({ term }, 'term.begun');
    this.#term = term;
    this.#current = open();
    await this.#current.start();
  }

  /** Also when this process leads again, in another term. */
  #isOver(): boolean {
    const { leadership } = this.#deps;
    return this.#closed || !leadership.isLeader() || leadership.term() !== this.#term;
  }
}
