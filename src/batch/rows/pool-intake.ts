import type { PoolKey } from '../../core/objects.ts';
import { parseChunkPointer } from '../policy/rows/chunks.ts';
import type { ChunkRun } from './chunk-run.ts';
import type { ChunkClaim, ChunkIntake, ChunkVerdict, RowLane } from './ports.ts';
import { RowWindow } from './row-window.ts';

export interface ObjectiveHere {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly window: RowWindow;
  readonly chunks: Set<ChunkRun>;
  isOpen(): boolean;
}

export interface PoolIntakeDeps {
  readonly lane: RowLane;
  readonly chunkRows: number;
  /** Must not throw. */
  readonly process: (claim: ChunkClaim, here: ObjectiveHere) => Promise<ChunkVerdict>;
}

/**
 * Takes chunks of one pool out of the backlog while slots are or soon will be there: as many as fill the row window that
 * the ledger gives this process for their objective, and one more so that it never runs dry. Starts held.
 */
export class PoolIntake {
  readonly #deps: PoolIntakeDeps;
  readonly #objectives = new Map<string, ObjectiveHere & { readonly intake: ChunkIntake }>();
  readonly #open = new Set<string>();
  readonly #claims = new Map<string, Promise<ChunkVerdict>>();
  readonly #stopListening: () => void;
  #isHeld = true;

  constructor(deps: PoolIntakeDeps) {
    this.#deps = deps;
    this.#stopListening = deps.lane.ledger.onWindows(() => this.#apply());
  }

  get objectives(): readonly string[] {
    return [...this.#objectives.keys()];
  }

  /** Chunks in the hands of this process. */
  get held(): number {
    return this.#claims.size;
  }

  release(): void {
    this.#isHeld = false;
    this.#apply();
  }

  /** Stops every row that runs here. */
  abortRunning(reason: Error): void {
    for (const { chunks } of this.#objectives.values()) for (const chunk of chunks) chunk.abortRunning(reason);
  }

  /** Closes every queue, then waits for what is held: abort its running rows to make that short. */
  async stop(): Promise<void> {
    this.#isHeld = true;
    this.#stopListening();
    this.#apply();
    await Promise.all([...this.#objectives.values()].map(({ intake }) => intake.close()));
  }

  #apply(): void {
    const windows = this.#isHeld ? new Map<string, number>() : this.#deps.lane.ledger.windows();
    for (const [objective, rows] of windows) if (rows > 0) this.#setWindow(objective, rows);
    for (const objective of [...this.#open]) if ((windows.get(objective) ?? 0) === 0) this.#setWindow(objective, 0);
  }

  #setWindow(objective: string, rows: number): void {
    const here = this.#here(objective);
    if (rows > 0) this.#open.add(objective);
    else this.#open.delete(objective);
    here.window.setSize(rows);
    here.intake.setWindow(rows === 0 ? 0 : Math.ceil(rows / this.#deps.chunkRows) + 1);
    if (rows === 0) for (const chunk of here.chunks) chunk.close();
  }

  #here(objective: string): ObjectiveHere & { readonly intake: ChunkIntake } {
    const known = this.#objectives.get(objective);
    if (known) return known;
    const { lane } = this.#deps;
    const intake = lane.backlog.intake(objective, (claim) => this.#claim(claim, here));
    const window = new RowWindow();
    const isOpen = (): boolean => this.#open.has(objective);
    const here = { pool: lane.ledger.pool, objective, window, chunks: new Set<ChunkRun>(), isOpen, intake };
    this.#objectives.set(objective, here);
    return here;
  }

  /** A second claim of a chunk whose lock ran out attaches to the first one's end. */
  #claim(claim: ChunkClaim, here: ObjectiveHere): Promise<ChunkVerdict> {
    const known = this.#claims.get(claim.id);
    if (known) return known;
    if (!here.isOpen()) return Promise.resolve({ kind: 'returned' });
    if (!parseChunkPointer(claim.acceptRef)) return Promise.resolve({ kind: 'finished' });
    const verdict = this.#deps.process(claim, here).finally(() => this.#claims.delete(claim.id));
    this.#claims.set(claim.id, verdict);
    return verdict;
  }
}
