import type { Clock } from '../../core/clock.ts';
import { isFinalBatch } from '../../core/batches.ts';
import {
  failingMessage,
  type FailingStreak,
  LOST_INPUT_MESSAGE,
  NO_STREAK,
  streakAfter,
} from '../policy/rows/failing.ts';
import type { BatchDoc, BatchJournal, FailingBatch, RowGate, RowStates, RowTotals } from '../ports.ts';

export interface BatchRunDeps {
  readonly journal: Pick<BatchJournal, 'read' | 'onChange'>;
  readonly states: Pick<RowStates, 'totals'>;
  readonly clock: Clock;
  /** So many rows in a row that were refused alike make a batch failing. */
  readonly failingRows: number;
  readonly onFailing: (failing: FailingBatch) => void;
}

/** How old what is known of a batch may be before another row of it starts. */
const FRESH_MS = 1_000;

/** A batch that makes no sense to run starts no row here for so long: until then its pause is written and known. */
const FAILING_HOLD_MS = 2_000;

/** What this process knows of a batch while it holds chunks of it. */
export class BatchRun {
  readonly id: string;
  /** Claims of its chunks that have not ended. */
  chunks = 0;
  /** Chunks whose rows run here. */
  readonly held = new Set<{ abortRunning(reason: Error): void }>();
  /** Rows that hold a slot or wait for one. */
  running = 0;
  doc: BatchDoc | null = null;
  #gate: RowGate = 'open';
  #checkedMs = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | null = null;
  #streak: FailingStreak = NO_STREAK;
  #heldUntilMs = Number.NEGATIVE_INFINITY;
  readonly #deps: BatchRunDeps;

  constructor(id: string, deps: BatchRunDeps) {
    this.id = id;
    this.#deps = deps;
  }

  /** Rows may start: as far as this process knew at most a second ago. */
  get mayStart(): boolean {
    const { doc } = this;
    if (doc === null || !mayRun(doc) || this.#gate !== 'open') return false;
    const { clock } = this.#deps;
    return clock.monotonicMs() >= this.#heldUntilMs && clock.epochMs() < doc.expiresAtEpochMs;
  }

  /** Reads document and gate when they are not fresh. Throws RowStatesLost, `queue_unavailable`, `store_unavailable`. */
  async refresh(): Promise<void> {
    if (this.#deps.clock.monotonicMs() - this.#checkedMs < FRESH_MS) return;
    this.#checking ??= this.#check().finally(() => {
      this.#checking = null;
    });
    await this.#checking;
  }

  learn(doc: BatchDoc): void {
    if (doc.generation <= (this.doc?.generation ?? 0)) return;
    // Whoever resumes it has looked at why it failed.
    if (this.doc?.pause && !doc.pause) {
      this.#streak = NO_STREAK;
      this.#heldUntilMs = Number.NEGATIVE_INFINITY;
    }
    this.doc = doc;
  }

  learnTotals({ gate }: RowTotals): void {
    this.#gate = gate;
  }

  /** Stops the rows that run now; whether others may start is looked up anew. */
  abort(reason: Error): void {
    this.#checkedMs = Number.NEGATIVE_INFINITY;
    for (const chunk of this.held) chunk.abortRunning(reason);
  }

  /** A row ended for good; null = without an answer of the engine. */
  ended(httpStatus: number | null): void {
    this.#streak = streakAfter(this.#streak, httpStatus);
    if (this.#streak.rows < this.#deps.failingRows) return;
    this.#fail(failingMessage(this.#streak));
    this.#streak = NO_STREAK;
  }

  /** The store has lost what its rows are read from. */
  cannotBeRead(): void {
    this.#fail(LOST_INPUT_MESSAGE);
  }

  #fail(message: string): void {
    this.#heldUntilMs = this.#deps.clock.monotonicMs() + FAILING_HOLD_MS;
    this.#deps.onFailing({ batchId: this.id, message });
  }

  async #check(): Promise<void> {
    const [doc, totals] = await Promise.all([this.#deps.journal.read(this.id), this.#deps.states.totals(this.id)]);
    if (doc) this.learn(doc);
    else this.doc = null;
    this.learnTotals(totals);
    this.#checkedMs = this.#deps.clock.monotonicMs();
  }
}

/** Its rows may run, whatever the gate says. */
export function mayRun(doc: BatchDoc): boolean {
  return doc.plan !== null && doc.pause === null && doc.ending === null && !isFinalBatch(doc.status);
}

/** The batches of which this process holds chunks. */
export class BatchRuns {
  readonly #deps: BatchRunDeps;
  readonly #runs = new Map<string, BatchRun>();
  readonly #stopListening: () => void;

  constructor(deps: BatchRunDeps) {
    this.#deps = deps;
    this.#stopListening = deps.journal.onChange((doc) => this.#runs.get(doc.id)?.learn(doc));
  }

  get(batchId: string): BatchRun | undefined {
    return this.#runs.get(batchId);
  }

  all(): Iterable<BatchRun> {
    return this.#runs.values();
  }

  enter(batchId: string): BatchRun {
    const run = this.#runs.get(batchId) ?? new BatchRun(batchId, this.#deps);
    this.#runs.set(batchId, run);
    run.chunks += 1;
    return run;
  }

  /** True when it was the last chunk of its batch here. */
  leave(run: BatchRun): boolean {
    run.chunks -= 1;
    if (run.chunks > 0) return false;
    this.#runs.delete(run.id);
    return true;
  }

  close(): void {
    this.#stopListening();
  }
}
