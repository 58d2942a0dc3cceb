import type { Chunk } from './chunks.ts';

/** What is known of a chunk that is not done. `unknown`: its rows have to be looked at. */
export type ChunkState = 'unknown' | 'waiting' | 'open' | 'done';

interface Entry {
  state: ChunkState;
  /** When it was last heard of, milliseconds of the caller's clock; null = never. */
  heardMs: number | null;
}

/** Chunks of one batch that wait in one queue at a time: one that can be opened, one that follows at once. */
export const WAITING_CHUNKS = 2;
/** Between the end of a chunk and the next look at its rows. */
const REST_MS = 500;

/**
 * Which chunks of one batch and queue wait, are open, are done. A view: what is wrong in it is put right by asking backlog
 * and states, so it may be forgotten at any time. Looked at in plan order, so that reading the file stays sequential.
 */
export class LaneBook {
  readonly #chunks: readonly Chunk[];
  readonly #entries: Entry[];
  readonly #places = new Map<number, number>();
  /** Chunks before it are done. */
  #firstNotDone = 0;
  #waiting = 0;

  constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks;
    this.#entries = chunks.map(() => ({ state: 'unknown', heardMs: null }));
    for (const [index, { firstPlace }] of chunks.entries()) this.#places.set(firstPlace, index);
  }

  get mayAdd(): boolean {
    return this.#waiting < WAITING_CHUNKS;
  }

  get isDone(): boolean {
    return this.#firstNotDone === this.#chunks.length;
  }

  /**
   * The first chunk whose rows have to be looked at; undefined when all wait, are open or are done. One that has just ended
   * is left alone for a moment: if it was handed back with rows that cannot run, it would be added again and again.
   */
  next(nowMs: number): Chunk | undefined {
    for (let index = this.#firstNotDone; index < this.#chunks.length; index += 1) {
      const entry = this.#entries[index];
      if (entry?.state !== 'unknown') continue;
      if (entry.heardMs === null || nowMs - entry.heardMs >= REST_MS) return this.#chunks[index];
    }
    return undefined;
  }

  set(firstPlace: number, state: ChunkState, nowMs: number | null): void {
    const index = this.#places.get(firstPlace);
    const entry = index === undefined ? undefined : this.#entries[index];
    if (!entry || entry.state === 'done') return;
    if (entry.state === 'waiting') this.#waiting -= 1;
    if (state === 'waiting') this.#waiting += 1;
    entry.state = state;
    entry.heardMs = nowMs;
    while (this.#entries[this.#firstNotDone]?.state === 'done') this.#firstNotDone += 1;
  }

  /** Chunks in this state. */
  in(state: ChunkState): readonly Chunk[] {
    return this.#chunks
      .slice(this.#firstNotDone)
      .filter((_, at) => this.#entries[at + this.#firstNotDone]?.state === state);
  }

  /** Chunks in this state that were not heard of since. */
  silentSince(state: 'waiting' | 'open', beforeMs: number): readonly Chunk[] {
    return this.#chunks.slice(this.#firstNotDone).filter((_, at) => {
      const entry = this.#entries[at + this.#firstNotDone];
      return entry?.state === state && (entry.heardMs ?? 0) <= beforeMs;
    });
  }

  /** Everything has to be looked at again: rows were lost, or run elsewhere now. */
  forget(): void {
    for (const entry of this.#entries) {
      entry.state = 'unknown';
      entry.heardMs = null;
    }
    this.#firstNotDone = 0;
    this.#waiting = 0;
  }
}
