import type { BatchService } from '../../core/batches.ts';
import { asError } from '../../core/errors.ts';
import { type ReadRows, StoredBatches } from './batch-service.ts';
import { HeavyWork } from './heavy-work.ts';
import { BatchKeeper, type KeeperDeps } from './keeper.ts';
import { LiveViews } from './live-views.ts';
import type { BatchWorld, CreationClaims } from './ports.ts';
import { type ReconcileReport, Reconciler } from './reconciler.ts';

/** Everything that the life of batches is made of; `heavy` is its own. */
export interface LifecycleDeps extends Omit<KeeperDeps, 'heavy'> {
  readonly claims: CreationClaims;
  readonly world: BatchWorld;
  readonly readRows: ReadRows;
}

/** Files that are validated or assembled at once in one process: each reads or writes as fast as disk and CPU allow. */
const HEAVY_AT_ONCE = 2;
const UPKEEP_MS = 3_600_000;
const LOSS_GATHER_MS = 1_000;
const UPKEEP_RETRY_MS = 10_000;

/** The batches of one process: the service that callers use, and the keeper that carries batches to their end. */
export class BatchLifecycle {
  readonly service: BatchService;
  readonly #deps: LifecycleDeps;
  readonly #keeper: BatchKeeper;
  readonly #reconciler: Reconciler;
  readonly #stop = new AbortController();
  #isLossNoted = false;

  constructor(deps: LifecycleDeps) {
    const heavy = new HeavyWork(HEAVY_AT_ONCE);
    this.#deps = deps;
    this.#keeper = new BatchKeeper({ ...deps, heavy });
    this.#reconciler = new Reconciler(deps);
    this.service = new StoredBatches({
      ...deps,
      heavy,
      views: new LiveViews(deps),
      whenIndexed: () => this.#reconciler.whenComplete(this.#stop.signal),
    });
  }

  /** Batches that this process keeps. */
  get kept(): readonly string[] {
    return this.#keeper.kept;
  }

  /** Keeps batches until the signal aborts; resolves when all are given back. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#keeper.run(signal), this.#upkeep(signal)]);
    this.#stop.abort();
  }

  /** Brings the index in line with the store, and rows of unfinished batches with their records. */
  async reconcile(signal: AbortSignal): Promise<ReconcileReport> {
    const report = await this.#reconciler.reconcile(signal);
    this.#keeper.doubt();
    return report;
  }

  /**
   * Redis was lost, or failed over with lost writes: everything of it is checked, in the background. Each pool hears of it
   * for itself; what they say within a second is one loss.
   */
  redisLost(): void {
    if (this.#isLossNoted) return;
    this.#isLossNoted = true;
    void this.#afterLoss();
  }

  async #afterLoss(): Promise<void> {
    const { clock, log } = this.#deps;
    await clock.sleep(LOSS_GATHER_MS, this.#stop.signal).catch(() => undefined);
    this.#isLossNoted = false;
    // The rows first: they need no index to be compared with their records.
    this.#keeper.doubt();
    await this.#reconciler.reconcile(this.#stop.signal).catch((error: unknown) => {
      log.warn({ problem: asError(error).message }, 'batches.reconcile_failed');
    });
  }

  async #upkeep(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    while (!signal.aborted) {
      let delayMs = UPKEEP_MS;
      try {
        await this.#reconciler.reconcile(signal);
        await this.#reconciler.sweep(signal);
      } catch (error) {
        delayMs = UPKEEP_RETRY_MS;
        log.warn({ problem: asError(error).message }, 'batches.upkeep_failed');
      }
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }
}
