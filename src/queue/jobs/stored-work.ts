import type { Clock } from '../../core/clock.ts';
import type { WaitAdvisor } from '../../core/dispatch.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { JobService } from '../../core/jobs.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource, PoolKey } from '../../core/objects.ts';
import { Intake } from '../backlog/intake.ts';
import { expireOverdue } from './deadline-sweep.ts';
import { runPeriodically } from './periodic.ts';
import type { Execute, JobHints, JobIndex, JobLane, JobStore } from './ports.ts';
import { processClaim } from './process-claim.ts';
import { type ReconcileHooks, type ReconcileReport, reconcile } from './reconcile.ts';
import { RunningJobs } from './running-jobs.ts';
import { Settlements } from './settlements.ts';
import { StoredJobs } from './stored-jobs.ts';

export interface StoredWorkDeps {
  readonly store: JobStore;
  readonly index: JobIndex;
  readonly hints: JobHints;
  readonly catalog: CatalogSource;
  readonly advisor: Pick<WaitAdvisor, 'retryAfterMs'>;
  readonly execute: Execute;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a result can be fetched after its job's end. */
  readonly retentionMs: number;
  readonly onHandBack?: (reason: string) => void;
  readonly onReconcileProgress?: ReconcileHooks['onProgress'];
}

const DEADLINE_EVERY_MS = 1_000;
/** Together with the lock it bounds how long a dead process's jobs are away: see LOCK_MS. */
const STALL_EVERY_MS = 2_000;
const OBJECTIVES_EVERY_MS = 30_000;
const RETENTION_EVERY_MS = 3_600_000;
const RECONCILE_RETRY_MS = 2_000;

interface PoolWork {
  readonly lane: JobLane;
  readonly intake: Intake;
  readonly stop: AbortController;
  readonly loops: Promise<unknown>;
  readonly unlisten: () => void;
}

/**
 * All stored work of one process: the job service, an intake per pool, sweeps and reconcile.
 *
 * Intakes stay held until the first reconcile knows every outcome, and again after each loss of ledger state.
 */
export class StoredWork {
  readonly jobs: JobService;
  readonly running = new RunningJobs();
  readonly #deps: StoredWorkDeps;
  readonly #settlements: Settlements;
  readonly #pools = new Map<PoolKey, PoolWork>();
  readonly #stop = new AbortController();
  readonly #stopHints: () => void;
  #retention: Promise<void> = Promise.resolve();
  #reconciling: Promise<ReconcileReport> | null = null;
  /** Reconciles asked for so far. */
  #asked = 0;
  #isStarted = false;

  constructor(deps: StoredWorkDeps) {
    this.#deps = deps;
    this.#settlements = new Settlements(deps);
    this.#stopHints = deps.hints.onHint((hint) => {
      if (hint.kind === 'cancelled') for (const id of hint.ids) this.running.abort(id, stoppedElsewhere(id));
    });
    this.jobs = new StoredJobs({
      ...deps,
      lanes: this.lane,
      running: this.running,
      settlements: this.#settlements,
      isReconciling: () => this.#reconciling !== null,
    });
  }

  /** The lane of a pool served here. */
  readonly lane = (pool: PoolKey): JobLane | undefined => this.#pools.get(pool)?.lane;

  /** Serves another pool from now on. Its stored jobs come back with the next reconcile, which this starts once running. */
  addPool(lane: JobLane): void {
    const pool = lane.ledger.pool;
    const stop = new AbortController();
    const intake = new Intake({
      ledger: lane.ledger,
      backlog: lane.backlog,
      process: (claim, isIntakeOpen) => processClaim(this.#processDeps(), { lane, isIntakeOpen }, claim),
      onClosed: (objective) => this.running.abortWaiting(pool, objective, noSlots(pool)),
    });
    const unlisten = lane.ledger.onIncarnation(() => this.#reconcileSoon());
    this.#pools.set(pool, { lane, intake, stop, unlisten, loops: this.#loops(lane, intake, stop.signal) });
    if (this.#isStarted) this.#reconcileSoon();
  }

  /** Stops serving a pool: running jobs go back to the backlog. The lane itself is the caller's to close. */
  async removePool(pool: PoolKey): Promise<void> {
    const work = this.#pools.get(pool);
    if (!work) return;
    work.unlisten();
    work.stop.abort();
    await work.intake.stop();
    await work.loops;
    this.#pools.delete(pool);
  }

  /** Opens for work. Does not wait for the reconcile: accepting needs none. */
  start(): void {
    this.#isStarted = true;
    this.#retention = runPeriodically(
      this.#deps,
      {
        name: 'retention.sweep',
        everyMs: RETENTION_EVERY_MS,
        run: async () => {
          const report = await this.#deps.store.sweep(this.#deps.clock.epochMs(), this.#deps.retentionMs);
          if (report.removedSegments > 0) this.#deps.log.info({ ...report }, 'retention.swept');
          return false;
        },
      },
      this.#stop.signal,
    );
    this.#reconcileSoon();
  }

  /**
   * Brings Redis in line with the store; every caller during one run gets the same run's report, and one that was
   * asked for meanwhile follows. Tries until it works or `stop` is called.
   */
  reconcile(): Promise<ReconcileReport> {
    this.#asked += 1;
    this.#reconciling ??= this.#reconcileUntilDone().finally(() => {
      this.#reconciling = null;
    });
    return this.#reconciling;
  }

  /** Claims nothing more, hands back or ends what runs, tells what is untold. `finishWithinMs` = patience for running jobs. */
  async stop(finishWithinMs: number): Promise<void> {
    const pools = [...this.#pools.values()];
    const stopped = Promise.all(pools.map(({ lane }) => this.removePool(lane.ledger.pool)));
    const patience = new AbortController();
    await Promise.race([stopped, this.#deps.clock.sleep(finishWithinMs, patience.signal).catch(() => undefined)]);
    patience.abort();
    this.running.abortAll(new PilotlightError('draining', 'The gateway is stopping.'));
    await stopped;
    this.#stop.abort(new PilotlightError('draining', 'The gateway is stopping.'));
    this.#stopHints();
    await this.#retention;
    await this.#reconciling?.catch(() => undefined);
    await this.#settlements.close();
  }

  async #reconcileUntilDone(): Promise<ReconcileReport> {
    for (;;) {
      const asked = this.#asked;
      const report = await this.#tryReconcile(asked);
      if (report && asked === this.#asked) return report;
      if (!report) await this.#deps.clock.sleep(RECONCILE_RETRY_MS, this.#stop.signal);
    }
  }

  async #tryReconcile(asked: number): Promise<ReconcileReport | null> {
    const { clock, log } = this.#deps;
    const startedMs = clock.monotonicMs();
    try {
      for (const { lane } of this.#pools.values()) await lane.backlog.restore();
      const report = await reconcile(
        { ...this.#deps, lanes: this.lane },
        {
          signal: this.#stop.signal,
          onOutcomes: () => this.#openIntakes(asked),
          ...(this.#deps.onReconcileProgress ? { onProgress: this.#deps.onReconcileProgress } : {}),
        },
      );
      log.info({ ...report, durationMs: Math.round(clock.monotonicMs() - startedMs) }, 'jobs.reconciled');
      return report;
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      log.warn({ problem: asError(error).message }, 'jobs.reconcile_failed');
      return null;
    }
  }

  #reconcileSoon(): void {
    for (const { intake } of this.#pools.values()) intake.hold();
    // Rejects only when stopped.
    this.reconcile().catch(() => undefined);
  }

  #openIntakes(asked: number): void {
    // Asked for again meanwhile: the ledger may have lost what was just told to it.
    if (asked !== this.#asked) return;
    for (const { intake } of this.#pools.values()) intake.release();
  }

  #loops(lane: JobLane, intake: Intake, signal: AbortSignal): Promise<unknown> {
    const deadlines = runPeriodically(
      this.#deps,
      {
        name: 'deadline.sweep',
        everyMs: DEADLINE_EVERY_MS,
        run: () => expireOverdue({ ...this.#deps, running: this.running, settlements: this.#settlements }, lane),
      },
      signal,
    );
    const stalls = runPeriodically(this.#deps, this.#stallPass(lane, intake), signal);
    return Promise.all([deadlines, stalls]);
  }

  /**
   * Brings back what dead processes held. Only a running Worker does that by itself, and while a pool sleeps none
   * runs; asking directly costs one script per objective and needs no Worker.
   */
  #stallPass({ backlog }: JobLane, intake: Intake): Parameters<typeof runPeriodically>[1] {
    let known: readonly string[] = [];
    let askedAtMs = -OBJECTIVES_EVERY_MS;
    return {
      name: 'stall.sweep',
      everyMs: STALL_EVERY_MS,
      run: async () => {
        const nowMs = this.#deps.clock.monotonicMs();
        if (nowMs - askedAtMs >= OBJECTIVES_EVERY_MS) {
          known = await backlog.objectives();
          askedAtMs = nowMs;
        }
        for (const objective of new Set([...known, ...intake.objectives()])) {
          const recovered = await backlog.recoverStalled(objective);
          if (recovered > 0) this.#deps.log.warn({ objective, jobs: recovered }, 'jobs.recovered');
        }
        return false;
      },
    };
  }

  #processDeps(): Parameters<typeof processClaim>[0] {
    const { onHandBack = () => undefined } = this.#deps;
    return { ...this.#deps, onHandBack, running: this.running, settlements: this.#settlements };
  }
}

function noSlots(pool: PoolKey): PilotlightError {
  return new PilotlightError('draining', `Pool ${pool} takes in no stored work now.`);
}

function stoppedElsewhere(id: string): PilotlightError {
  return new PilotlightError('request_cancelled', `Job ${id} was ended by another process.`);
}
