import type { DriveDeps } from './drive-deps.ts';

type TellerDeps = Pick<DriveDeps, 'rows' | 'board' | 'clock'> & { readonly owner: string };

/** Told again while rows run, so that the number does not grow old. */
const REPEAT_MS = 2_000;

interface Told {
  rows: number;
  atMs: number;
}

/** Tells on the board how many rows of each batch this process runs. */
export class RunningTeller {
  readonly #deps: TellerDeps;
  readonly #told = new Map<string, Told>();

  constructor(deps: TellerDeps) {
    this.#deps = deps;
  }

  /** Throws when Redis does not answer. */
  async tell(batchIds: readonly string[]): Promise<void> {
    const { rows, board, clock, owner } = this.#deps;
    const nowMs = clock.monotonicMs();
    const live = new Set(batchIds);
    for (const id of this.#told.keys()) if (!live.has(id)) this.#told.delete(id);
    const news = batchIds
      .map((id) => ({ id, running: rows.running(id), told: this.#told.get(id) }))
      .filter(({ running, told }) => {
        const before = told?.rows ?? 0;
        return (running === 0) !== (before === 0) || (running > 0 && nowMs - (told?.atMs ?? 0) >= REPEAT_MS);
      });
    for (const { id, running } of news) this.#told.set(id, { rows: running, atMs: nowMs });
    await Promise.all(news.map(({ id, running }) => board.tellRunning(id, owner, running)));
  }
}
