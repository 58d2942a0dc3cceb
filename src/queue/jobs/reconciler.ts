import { asError } from '../../core/errors.ts';
import type { JobMeter } from './job-meter.ts';
import { type ReconcileDeps, type ReconcileHooks, type ReconcileReport, reconcile } from './reconcile.ts';

export interface ReconcilerDeps extends ReconcileDeps {
  readonly meter: JobMeter;
  /** What has to be there before: the queues' own data in Redis. */
  readonly prepare: () => Promise<void>;
  /** Every outcome in the store is in the ledger: executing jobs is safe again. */
  readonly onOutcomes: () => void;
  readonly onProgress?: ReconcileHooks['onProgress'];
}

const RETRY_MS = 2_000;

/** Runs reconcile, one at a time, until it works. */
export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #signal: AbortSignal;
  #running: Promise<ReconcileReport> | null = null;
  /** Reconciles asked for so far. */
  #asked = 0;

  constructor(deps: ReconcilerDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** The report of a reconcile that began after this call. Rejects only when stopped. */
  request(): Promise<ReconcileReport> {
    this.#asked += 1;
    this.#running ??= this.#runUntilDone().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Resolves when nothing runs any more. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  async #runUntilDone(): Promise<ReconcileReport> {
    for (;;) {
      const asked = this.#asked;
      const report = await this.#tryOnce(asked);
      if (report && asked === this.#asked) return report;
      if (!report) await this.#deps.clock.sleep(RETRY_MS, this.#signal);
    }
  }

  async #tryOnce(asked: number): Promise<ReconcileReport | null> {
    const { clock, log, meter, prepare, onOutcomes, onProgress } = this.#deps;
    const startedMs = clock.monotonicMs();
    try {
      await prepare();
      const report = await reconcile(this.#deps, {
        signal: this.#signal,
        // Asked for again meanwhile: the ledger may have lost what was just told to it.
        onOutcomes: () => asked === this.#asked && onOutcomes(),
        ...(onProgress ? { onProgress } : {}),
      });
      const durationMs = Math.round(clock.monotonicMs() - startedMs);
      meter.reconciled(report, durationMs);
      log.info({ ...report, durationMs }, 'jobs.reconciled');
      return report;
    } catch (error) {
      this.#signal.throwIfAborted();
      log.warn({ problem: asError(error).message }, 'jobs.reconcile_failed');
      return null;
    }
  }
}
