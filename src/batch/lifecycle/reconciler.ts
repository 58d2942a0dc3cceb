import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { BatchMeter } from './batch-meter.ts';
import type { BatchIndex, CreationClaims, IndexedJournal } from './ports.ts';

export interface ReconcileReport {
  /** In the store. */
  readonly batches: number;
  /** That the index did not know, or knew only as they had been. */
  readonly repaired: number;
  /** Of the repaired ones: not ended. Their keepers open their rows again and commit what the records know. */
  readonly unfinished: number;
  /** That could not be read, or told. */
  readonly failed: number;
}

export interface ReconcilerDeps {
  readonly journal: IndexedJournal;
  readonly index: BatchIndex;
  readonly claims: CreationClaims;
  readonly meter: BatchMeter;
  readonly clock: Clock;
  readonly log: Logger;
}

const TOGETHER = 200;
const REMOVED_TOGETHER = 100;
/** A caller waits so long for the index; then it is told to come again. */
const PATIENCE_MS = 5_000;

/** Keeps the index in Redis in line with the journals in the store, and removes what is past retention. */
export class Reconciler {
  readonly #deps: ReconcilerDeps;
  #running: Promise<ReconcileReport> | null = null;
  /** Reconciles asked for so far. */
  #asked = 0;

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
  }

  /**
   * Compares every batch of the store with the index, reading only those that the index is behind with. One at a time: one
   * that is asked for meanwhile follows, as Redis may have lost what this one has told it.
   */
  reconcile(signal: AbortSignal): Promise<ReconcileReport> {
    this.#asked += 1;
    this.#running ??= this.#untilNobodyAsks(signal).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #untilNobodyAsks(signal: AbortSignal): Promise<ReconcileReport> {
    for (;;) {
      const asked = this.#asked;
      const report = await this.#reconcile(signal);
      if (asked === this.#asked) return report;
    }
  }

  /** Resolves when the index has every batch; `queue_unavailable` when that takes longer than a caller should wait. */
  async whenComplete(signal: AbortSignal): Promise<void> {
    if (await this.#deps.index.isComplete()) return;
    const given = new AbortController();
    const late = this.#deps.clock.sleep(PATIENCE_MS, given.signal).then(
      () => 'late',
      () => 'late',
    );
    const done = (this.#running ?? this.reconcile(signal)).then(() => 'done');
    // Late or not, it goes on; its failure is logged by whoever waits next.
    done.catch(() => undefined);
    const first = await Promise.race([done, late]).finally(() => given.abort());
    if (first === 'done') return;
    const message = 'The list of batches is being read again from the store. Try again in a few seconds.';
    throw new PilotlightError('queue_unavailable', message, { retryAfterMs: PATIENCE_MS });
  }

  /** Removes batches whose files have expired. Returns how many. */
  async sweep(signal: AbortSignal): Promise<number> {
    const { index, journal, clock, log } = this.#deps;
    let removed = 0;
    while (!signal.aborted) {
      const ids = await index.removable(clock.epochMs(), REMOVED_TOGETHER);
      for (const id of ids) {
        await journal.remove(id);
        await index.remove(id);
        removed += 1;
      }
      if (ids.length < REMOVED_TOGETHER) break;
    }
    if (removed > 0) log.info({ batches: removed }, 'batches.removed');
    return removed;
  }

  async #reconcile(signal: AbortSignal): Promise<ReconcileReport> {
    const { journal, index, meter, clock, log } = this.#deps;
    const startedMs = clock.monotonicMs();
    // An index that is being made anew may know a batch already, from whoever works on it: that one is looked at too.
    const isComplete = await index.isComplete();
    const report = { batches: 0, repaired: 0, unfinished: 0, failed: 0 };
    let chunk: { id: string; generation: number }[] = [];
    for await (const entry of journal.generations(signal)) {
      signal.throwIfAborted();
      chunk.push(entry);
      if (chunk.length < TOGETHER) continue;
      await this.#repair(chunk, isComplete, report);
      chunk = [];
    }
    await this.#repair(chunk, isComplete, report);
    if (report.failed === 0) await index.markComplete();
    meter.reconciled(report.repaired, clock.monotonicMs() - startedMs);
    if (report.repaired + report.failed > 0) log.info({ ...report }, 'batches.reconciled');
    return report;
  }

  async #repair(
    chunk: readonly { readonly id: string; readonly generation: number }[],
    isComplete: boolean,
    report: { -readonly [Field in keyof ReconcileReport]: number },
  ): Promise<void> {
    const known = await this.#deps.index.known(chunk.map(({ id }) => id));
    report.batches += chunk.length;
    for (const [place, { id, generation }] of chunk.entries()) {
      const isKnown = (known[place] ?? 0) >= generation;
      if (isKnown && isComplete) continue;
      try {
        const isUnfinished = await this.#repairOne(id);
        if (isKnown) continue;
        report.repaired += 1;
        if (isUnfinished) report.unfinished += 1;
      } catch (error) {
        report.failed += 1;
        this.#deps.log.warn({ batch: id, problem: asError(error).message }, 'batch.not_reconciled');
      }
    }
  }

  async #repairOne(id: string): Promise<boolean> {
    const { journal, index, claims, clock } = this.#deps;
    const doc = await journal.readStored(id);
    if (!doc) return false;
    await claims.restore(doc, clock.epochMs());
    await index.put(doc);
    return doc.final === null;
  }
}
