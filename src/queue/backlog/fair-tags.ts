import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { BacklogTags, BacklogTurn, FairItem, TagBook } from './ports.ts';

export interface FairTagsDeps {
  readonly book: TagBook;
  /** Tags every waiting item of the objective by `base`, as long as `mayGoOn` says so. Returns how many tags changed. */
  readonly retag: (objective: string, base: number, mayGoOn: () => Promise<boolean>) => Promise<number>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Takes are told together. */
const TELL_EVERY_MS = 50;
/** Items whose place was given before a roll-over are in the backlog after so long: an accept waits 10 s at most. */
const STRAGGLERS_MS = 15_000;
const MAX_PASSES = 10;

/** Places for items of one pool, and the clock of those that are taken. */
export class FairTags implements BacklogTags {
  readonly #deps: FairTagsDeps;
  readonly #stop = new AbortController();
  /** Largest start that was taken since the last telling, by objective. */
  readonly #taken = new Map<string, number>();
  readonly #rolling = new Map<string, Promise<void>>();
  #telling: Promise<void> | null = null;

  constructor(deps: FairTagsDeps) {
    this.#deps = deps;
  }

  turn(item: FairItem): Promise<BacklogTurn> {
    return this.#deps.book.turn(item);
  }

  opened(objective: string, start: number): void {
    this.#taken.set(objective, Math.max(start, this.#taken.get(objective) ?? 0));
    this.#telling ??= this.#tellSoon();
  }

  /** Waits for what is being told and tagged. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#telling;
    await Promise.all(this.#rolling.values());
  }

  async #tellSoon(): Promise<void> {
    // At the end at once.
    await this.#deps.clock.sleep(TELL_EVERY_MS, this.#stop.signal).catch(() => undefined);
    this.#telling = null;
    const taken = [...this.#taken];
    this.#taken.clear();
    await Promise.all(taken.map(([objective, start]) => this.#tell(objective, start)));
  }

  /** A telling that is lost is made good by the next. */
  async #tell(objective: string, start: number): Promise<void> {
    try {
      const due = await this.#deps.book.opened(objective, start);
      if (!due || this.#rolling.has(objective) || this.#stop.signal.aborted) return;
      const rolling = this.#rollOver(objective, due.base).finally(() => this.#rolling.delete(objective));
      this.#rolling.set(objective, rolling);
    } catch (error) {
      this.#deps.log.debug({ objective, problem: asError(error).message }, 'backlog.take_not_told');
    }
  }

  /** Whoever finds it unfinished begins again: tagging twice does no harm. */
  async #rollOver(objective: string, base: number): Promise<void> {
    const { book, retag, clock, log } = this.#deps;
    const mayGoOn = async (): Promise<boolean> =>
      !this.#stop.signal.aborted && (await book.rollOver(objective, base, false));
    try {
      if (!(await mayGoOn())) return;
      let changed = 0;
      for (let pass = 0; pass < MAX_PASSES; pass += 1) {
        // Items that are taken meanwhile move others past the pages of a pass.
        const inPass = await retag(objective, base, mayGoOn);
        changed += inPass;
        if (inPass === 0) break;
      }
      await clock.sleep(STRAGGLERS_MS, this.#stop.signal);
      changed += await retag(objective, base, mayGoOn);
      await book.rollOver(objective, base, true);
      log.info({ objective, base, items: changed }, 'backlog.rolled_over');
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        log.warn({ objective, problem: asError(error).message }, 'backlog.roll_over_interrupted');
      }
    }
  }
}
