import { asError, PilotlightError } from '../../core/errors.ts';
import type { PoolKey } from '../../core/objects.ts';
import { parseChunkPointer } from '../policy/rows/chunks.ts';
import type { BatchDoc, BatchJournal, FailingBatch, RowTotals, RowWork } from '../ports.ts';
import { BatchRuns } from './batch-run.ts';
import { BatchSupply, type BatchSupplyDeps } from './batch-supply.ts';
import { ChunkRun, type ChunkRunDeps } from './chunk-run.ts';
import { type ObjectiveHere, PoolIntake } from './pool-intake.ts';
import type { ChunkClaim, ChunkVerdict, RowHint, RowHints, RowLane, RowRecords } from './ports.ts';
import { Recorder } from './recorder.ts';
import { recoverRows } from './recover-rows.ts';
import { ReadAhead } from './row-source.ts';
import type { BlobStore } from '../../core/blobs.ts';
import type { RowStates } from '../ports.ts';

export interface BatchRowsDeps
  extends Omit<ChunkRunDeps, 'recorder' | 'ahead' | 'store' | 'states'>,
    Omit<BatchSupplyDeps, 'lanes' | 'states'> {
  readonly store: BlobStore;
  readonly states: RowStates;
  readonly records: RowRecords;
  readonly journal: BatchJournal;
  readonly hints: RowHints;
  /** So many rows in a row that were refused alike make a batch failing. */
  readonly failingRows: number;
}

interface Pool {
  readonly lane: RowLane;
  readonly intake: PoolIntake;
  readonly unlisten: () => void;
}

const READ_AHEAD_BYTES = 33_554_432;
const STALL_EVERY_MS = 2_000;
const OBJECTIVES_EVERY_MS = 30_000;
/** Progress of one batch is told at most so often, and at once when its last row ends. */
const PROGRESS_EVERY_MS = 200;
const IDLE_RECORDER_MS = 10_000;

/**
 * The rows of batches in this process: chunks taken in and run, batches it keeps supplied, records of dead processes
 * recovered. Intakes stay held until `start`.
 */
export class BatchRows implements RowWork {
  readonly #deps: BatchRowsDeps;
  readonly #recorder: Recorder;
  readonly #runs: BatchRuns;
  readonly #chunkDeps: ChunkRunDeps;
  readonly #pools = new Map<PoolKey, Pool>();
  /** Of all pools that were ever served here: their chunks are supplied while nothing takes them in. */
  readonly #lanes = new Map<PoolKey, RowLane>();
  readonly #supplies = new Map<string, BatchSupply>();
  readonly #progressListeners = new Set<(batchId: string, totals: RowTotals) => void>();
  readonly #failingListeners = new Set<(failing: FailingBatch) => void>();
  readonly #toldMs = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #stopHints: () => void;
  #sweeps: Promise<void> = Promise.resolve();
  #isStarted = false;

  constructor(deps: BatchRowsDeps) {
    this.#deps = deps;
    this.#recorder = new Recorder({ ...deps, onTotals: (batchId, totals) => this.#moved(batchId, totals) });
    this.#runs = new BatchRuns({
      ...deps,
      onFailing: (failing) => {
        for (const listener of this.#failingListeners) listener(failing);
      },
    });
    this.#chunkDeps = { ...deps, recorder: this.#recorder, ahead: new ReadAhead(READ_AHEAD_BYTES) };
    this.#stopHints = deps.hints.onHint((hint) => this.#heard(hint));
  }

  /** Adding one that is there replaces nothing. */
  addPool(lane: RowLane): void {
    const { pool } = lane.ledger;
    if (this.#pools.has(pool)) return;
    this.#lanes.set(pool, lane);
    const process = (claim: ChunkClaim, here: ObjectiveHere): Promise<ChunkVerdict> => this.#process(claim, here);
    const intake = new PoolIntake({ lane, chunkRows: this.#deps.chunkRows, process });
    const unlisten = lane.ledger.onIncarnation(() => void this.#lostRedis(lane));
    this.#pools.set(pool, { lane, intake, unlisten });
    if (this.#isStarted) intake.release();
  }

  /** Its chunks are handed back; rows that run may take `finishWithinMs`, then they are stopped and stay pending. */
  async removePool(pool: PoolKey, finishWithinMs: number): Promise<void> {
    const served = this.#pools.get(pool);
    if (!served) return;
    this.#pools.delete(pool);
    served.unlisten();
    await this.#finish([served], finishWithinMs);
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    for (const { intake } of this.#pools.values()) intake.release();
    this.#sweeps = this.#sweep();
  }

  /** Hands back what only waits, lets rows that run finish for so long, then stops them; syncs what was recorded. */
  async stop(finishWithinMs: number): Promise<void> {
    this.#stop.abort();
    this.#stopHints();
    const supplies = [...this.#supplies.values()];
    this.#supplies.clear();
    await Promise.all(supplies.map((supply) => supply.leave()));
    for (const { unlisten } of this.#pools.values()) unlisten();
    await this.#finish([...this.#pools.values()], finishWithinMs);
    this.#pools.clear();
    await this.#recorder.stop();
    this.#runs.close();
    await this.#sweeps;
  }

  async supply(doc: BatchDoc): Promise<void> {
    const known = this.#supplies.get(doc.id);
    if (known) await known.update(doc);
    else if (!this.#stop.signal.aborted) this.#supplies.set(doc.id, this.#newSupply(doc));
  }

  async withdraw(doc: BatchDoc): Promise<void> {
    const supply = this.#supplies.get(doc.id) ?? this.#newSupply(doc);
    this.#supplies.delete(doc.id);
    await supply.withdraw();
  }

  leave(batchId: string): void {
    const supply = this.#supplies.get(batchId);
    this.#supplies.delete(batchId);
    void supply?.leave();
  }

  abort(batchId: string): void {
    this.#abortHere(batchId);
    this.#deps.hints.publish({ kind: 'abort', batchId });
  }

  async recover(doc: BatchDoc, signal: AbortSignal): Promise<number> {
    const recovered = await recoverRows(this.#deps, { id: doc.id, rows: doc.plan?.runnable ?? 0 }, signal);
    this.#supplies.get(doc.id)?.forget();
    return recovered;
  }

  running(batchId: string): number {
    return this.#runs.get(batchId)?.running ?? 0;
  }

  onProgress(listener: (batchId: string, totals: RowTotals) => void): () => void {
    this.#progressListeners.add(listener);
    return () => this.#progressListeners.delete(listener);
  }

  onFailing(listener: (failing: FailingBatch) => void): () => void {
    this.#failingListeners.add(listener);
    return () => this.#failingListeners.delete(listener);
  }

  #newSupply(doc: BatchDoc): BatchSupply {
    return new BatchSupply({ ...this.#deps, lanes: (pool) => this.#lanes.get(pool) }, doc);
  }

  async #process(claim: ChunkClaim, here: ObjectiveHere): Promise<ChunkVerdict> {
    const pointer = parseChunkPointer(claim.acceptRef);
    if (!pointer) return { kind: 'finished' };
    const { batchId, firstPlace, tag } = pointer;
    const run = this.#runs.enter(batchId);
    const chunk = new ChunkRun(this.#chunkDeps, run, here, claim, pointer);
    here.chunks.add(chunk);
    run.held.add(chunk);
    this.#tell({ kind: 'opened', batchId, firstPlace });
    void this.#deps.book.opened(here.pool, here.objective, tag).catch(() => undefined);
    const verdict = await chunk.execute();
    here.chunks.delete(chunk);
    run.held.delete(chunk);
    if (this.#runs.leave(run)) void this.#releaseLater(batchId);
    this.#tell({ kind: 'ended', batchId, firstPlace });
    return verdict;
  }

  #tell(hint: RowHint): void {
    this.#deps.hints.publish(hint);
  }

  #heard(hint: RowHint): void {
    if (hint.kind === 'abort') this.#abortHere(hint.batchId);
    else this.#supplies.get(hint.batchId)?.heard(hint);
  }

  #abortHere(batchId: string): void {
    this.#runs.get(batchId)?.abort(new PilotlightError('request_cancelled', `Batch ${batchId} is being ended.`));
  }

  #moved(batchId: string, totals: RowTotals): void {
    this.#runs.get(batchId)?.learnTotals(totals);
    const nowMs = this.#deps.clock.monotonicMs();
    const toldMs = this.#toldMs.get(batchId) ?? Number.NEGATIVE_INFINITY;
    if (totals.pending > 0 && nowMs - toldMs < PROGRESS_EVERY_MS) return;
    this.#toldMs.set(batchId, nowMs);
    for (const listener of this.#progressListeners) listener(batchId, totals);
  }

  /** Between two chunks of a batch its segment stays open. */
  async #releaseLater(batchId: string): Promise<void> {
    await this.#deps.clock.sleep(IDLE_RECORDER_MS, this.#stop.signal).catch(() => undefined);
    if (this.#runs.get(batchId)) return;
    this.#toldMs.delete(batchId);
    await this.#recorder.release(batchId).catch((error: unknown) => {
      this.#deps.log.warn({ batchId, problem: asError(error).message }, 'rows.release_failed');
    });
  }

  async #lostRedis({ ledger, backlog }: RowLane): Promise<void> {
    await backlog.restore().catch((error: unknown) => {
      this.#deps.log.warn({ pool: ledger.pool, problem: asError(error).message }, 'rows.restore_failed');
    });
    for (const supply of this.#supplies.values()) supply.forget();
  }

  async #finish(pools: readonly Pool[], finishWithinMs: number): Promise<void> {
    const stopped = Promise.all(pools.map(({ intake }) => intake.stop()));
    const over = new AbortController();
    const late = this.#deps.clock.sleep(finishWithinMs, over.signal).then(
      () => {
        const reason = new PilotlightError('draining', 'This gateway is shutting down.');
        for (const { intake } of pools) intake.abortRunning(reason);
      },
      () => undefined,
    );
    await stopped;
    over.abort();
    await late;
  }

  /** Brings back what dead processes held; needs no open intake. */
  async #sweep(): Promise<void> {
    let known = new Map<PoolKey, readonly string[]>();
    let askedMs = Number.NEGATIVE_INFINITY;
    while (!this.#stop.signal.aborted) {
      try {
        const nowMs = this.#deps.clock.monotonicMs();
        const isDue = nowMs - askedMs >= OBJECTIVES_EVERY_MS;
        if (isDue) {
          known = new Map();
          askedMs = nowMs;
        }
        for (const [pool, { lane, intake }] of this.#pools) {
          if (!known.has(pool)) known.set(pool, await lane.backlog.objectives());
          for (const objective of new Set([...(known.get(pool) ?? []), ...intake.objectives])) {
            const chunks = (await lane.backlog.recoverStalled(objective)).length;
            if (chunks > 0) this.#deps.log.warn({ pool, objective, chunks }, 'chunks.recovered');
          }
        }
      } catch (error) {
        this.#deps.log.warn({ problem: asError(error).message }, 'chunks.sweep_failed');
      }
      await this.#deps.clock.sleep(STALL_EVERY_MS, this.#stop.signal).catch(() => undefined);
    }
  }
}
