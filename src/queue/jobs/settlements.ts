import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { JobHints, JobIndex } from './ports.ts';

export interface SettlementDeps {
  readonly index: JobIndex;
  readonly hints: JobHints;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a result can be fetched. */
  readonly retentionMs: number;
}

/** Ids that end together share one round trip and one message. */
const GATHER_MS = 5;
const MAX_IDS = 256;
/** While Redis is away; outcomes need it too, so this grows only by what was told to it just before. */
const MAX_UNTOLD = 10_000;
const RETRY_MS = 1_000;

/** What follows an outcome: whoever waits is told, here and elsewhere, and the index entry gets its end. */
export class Settlements {
  readonly #deps: SettlementDeps;
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #stopListening: () => void;
  #ended: string[] = [];
  #isClosed = false;
  #flushing: Promise<void> | null = null;

  constructor(deps: SettlementDeps) {
    this.#deps = deps;
    this.#stopListening = deps.hints.onHint((hint) => {
      if (hint.kind === 'settled') for (const id of hint.ids) this.#wake(id);
    });
  }

  /** The job has its outcome. Never throws: all of this is repeated by reading, or forgotten by a TTL. */
  ended(id: string): void {
    this.#wake(id);
    this.#ended.push(id);
    this.#flushing ??= this.#flush();
  }

  /** Calls back when the job ends, as far as this process hears of it. Returns the way to stop. */
  onEnd(id: string, listener: () => void): () => void {
    const listeners = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#waiters.delete(id);
    };
  }

  /** Tells what is still untold. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#isClosed = true;
    await this.#flushing;
  }

  #wake(id: string): void {
    for (const listener of this.#waiters.get(id) ?? []) listener();
  }

  async #flush(): Promise<void> {
    while (this.#ended.length > 0) {
      if (this.#ended.length < MAX_IDS) await this.#deps.clock.sleep(GATHER_MS);
      const ids = this.#ended.splice(0, MAX_IDS);
      this.#deps.hints.publish({ kind: 'settled', ids });
      if ((await this.#expire(ids)) || this.#isClosed) continue;
      this.#ended = [...ids, ...this.#ended].slice(0, MAX_UNTOLD);
      await this.#deps.clock.sleep(RETRY_MS);
    }
    this.#flushing = null;
  }

  /** Without its end an index entry would stay for ever. */
  async #expire(ids: readonly string[]): Promise<boolean> {
    try {
      await this.#deps.index.expire(ids, this.#deps.retentionMs);
      return true;
    } catch (error) {
      this.#deps.log.debug({ jobs: ids.length, problem: asError(error).message }, 'index.expire_failed');
      return false;
    }
  }
}
