import type { Clock } from '../../core/clock.ts';
import type { WaitAdvisor } from '../../core/dispatch.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { RequestKeys } from '../../core/idempotency.ts';
import type { JobEndListener, JobService } from '../../core/jobs.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource, PoolKey } from '../../core/objects.ts';
import type { DeadLetterDesk } from '../../core/queues.ts';
import type { TenantDirectory } from '../../core/tenants.ts';
import { Intake } from '../backlog/intake.ts';
import { isJobId } from '../policy/backlog/stored-ticket.ts';
import { DeadLetters } from './dead-letters.ts';
import { watchFormerOrders } from './former-orders.ts';
import { type JobMeter, silentMeter } from './job-meter.ts';
import { type AnnouncementKind, type OutboxClaims, OutboxMover } from './outbox.ts';
import { runPeriodically } from './periodic.ts';
import { sweepPool } from './pool-sweeps.ts';
import type { Execute, JobHints, JobIndex, JobLane, JobPlace, JobStore } from './ports.ts';
import { processClaim } from './process-claim.ts';
import type { ReconcileHooks, ReconcileReport } from './reconcile.ts';
import { Reconciler } from './reconciler.ts';
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
  /** Absent = all are equal, without quotas. */
  readonly tenants: TenantDirectory;
  /** Absent: this process announces no ends. */
  readonly outboxClaims?: OutboxClaims;
  readonly meter?: JobMeter;
  readonly onReconcileProgress?: ReconcileHooks['onProgress'];
  /** Absent: keys of submitters are not kept here. */
  readonly keys?: Pick<RequestKeys, 'restore'>;
}

const RETENTION_EVERY_MS = 3_600_000;

interface PoolWork {
  readonly lane: JobLane;
  readonly intake: Intake;
  readonly stop: AbortController;
  /** Sweeps and announcements. */
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
  readonly #deps: StoredWorkDeps & { readonly meter: JobMeter };
  readonly #running = new RunningJobs();
  readonly #settlements: Settlements;
  readonly #reconciler: Reconciler;
  readonly #pools = new Map<PoolKey, PoolWork>();
  /** Of all pools that were ever served here: what is stored can be looked up while nothing takes it in. */
  readonly #lanes = new Map<PoolKey, JobLane>();
  readonly #endListeners = new Map<AnnouncementKind, JobEndListener>();
  readonly #stop = new AbortController();
  readonly #stopHints: () => void;
  #retention: Promise<void> = Promise.resolve();
  #isStarted = false;

  constructor(deps: StoredWorkDeps) {
    this.#deps = { ...deps, meter: deps.meter ?? silentMeter };
    this.#settlements = new Settlements(deps);
    this.#reconciler = new Reconciler(
      {
        ...this.#deps,
        lanes: this.lane,
        prepare: () => this.#restoreQueues(),
        onOutcomes: () => this.#openIntakes(),
        ...(deps.onReconcileProgress ? { onProgress: deps.onReconcileProgress } : {}),
      },
      this.#stop.signal,
    );
    this.#stopHints = deps.hints.onHint((hint) => {
      if (hint.kind === 'cancelled') for (const id of hint.ids) this.#running.abort(id, endedElsewhere(id));
    });
    this.jobs = new StoredJobs({
      ...this.#deps,
      lanes: this.lane,
      lanesEver: (pool) => this.#lanes.get(pool),
      running: this.#running,
      settlements: this.#settlements,
      isReconciling: () => this.#reconciler.isRunning,
    });
  }

  /** The lane of a pool served here. */
  readonly lane = (pool: PoolKey): JobLane | undefined => this.#pools.get(pool)?.lane;

  /** The dead letters of a pool that was ever served here; undefined = it keeps none. */
  deadLetters(pool: PoolKey): DeadLetterDesk | undefined {
    const lane = this.#lanes.get(pool);
    if (!lane?.dead) return undefined;
    const submit: JobService['submit'] = (...asked) => this.jobs.submit(...asked);
    const isReconciling = () => this.#reconciler.isRunning;
    return new DeadLetters({ ...this.#deps, lane, dead: lane.dead, submit, isReconciling });
  }

  /** Where a job is kept, whoever it belongs to; null = unknown. Throws when Redis does not answer. */
  placeOf(id: string): Promise<JobPlace | null> {
    return isJobId(id) ? this.#deps.index.get(id) : Promise.resolve(null);
  }

  /** Serves another pool from now on. Its stored jobs come back with the reconcile that this asks for once started. */
  addPool(lane: JobLane): void {
    const { pool } = lane.ledger;
    this.#lanes.set(pool, lane);
    const shared = { ...this.#deps, running: this.#running, settlements: this.#settlements };
    const stop = new AbortController();
    const intake = new Intake({
      ledger: lane.ledger,
      backlog: lane.backlog,
      process: (claim, isIntakeOpen) => processClaim(shared, { lane, isIntakeOpen }, claim),
      onClosed: (objective) => this.#running.abortWaiting(pool, objective, noSlots(pool)),
    });
    const unlisten = lane.ledger.onIncarnation(() => this.#reconcileSoon());
    const { former: orders = [] } = lane;
    const upgrade = { ...this.#deps, pool, orders, reconcile: () => this.reconcile() };
    const loops = Promise.all([
      sweepPool(shared, lane, intake, stop.signal),
      this.#announceEnds(lane, stop.signal),
      watchFormerOrders(upgrade, stop.signal),
    ]);
    this.#pools.set(pool, { lane, intake, stop, unlisten, loops });
    if (this.#isStarted) this.#reconcileSoon();
  }

  /**
   * Stops serving a pool: jobs that wait go back to the backlog, running ones end; all can still be looked up. The lane is
   * the caller's to close, after this object is stopped.
   */
  async removePool(pool: PoolKey): Promise<void> {
    const work = this.#pools.get(pool);
    if (!work) return;
    work.unlisten();
    work.stop.abort();
    await work.intake.stop();
    await work.loops;
    this.#pools.delete(pool);
  }

  /** From now on ends with an announcement of this kind are told to `listener`. */
  announceTo(kind: AnnouncementKind, listener: JobEndListener): void {
    this.#endListeners.set(kind, listener);
  }

  /** Opens for work. Does not wait for the reconcile: accepting needs none. */
  start(): void {
    this.#isStarted = true;
    const sweep = { name: 'retention.sweep', everyMs: RETENTION_EVERY_MS, run: () => this.#sweepStore() };
    this.#retention = runPeriodically(this.#deps, sweep, this.#stop.signal);
    this.#reconcileSoon();
  }

  /** Brings Redis in line with the store; tries until it works. Rejects only when stopped. */
  reconcile(): Promise<ReconcileReport> {
    return this.#reconciler.request();
  }

  /** Claims nothing more, gives running jobs `finishWithinMs` to end, hands the others back, tells what is untold. */
  async stop(finishWithinMs: number): Promise<void> {
    const stopped = Promise.all([...this.#pools.keys()].map((pool) => this.removePool(pool)));
    const patience = new AbortController();
    await Promise.race([stopped, this.#deps.clock.sleep(finishWithinMs, patience.signal).catch(() => undefined)]);
    patience.abort();
    const reason = new PilotlightError('draining', 'The gateway is stopping.');
    this.#running.abortAll(reason);
    await stopped;
    this.#stop.abort(reason);
    this.#stopHints();
    await this.#retention;
    await this.#reconciler.settled();
    await this.#settlements.close();
  }

  async #announceEnds(lane: JobLane, signal: AbortSignal): Promise<void> {
    const { outboxClaims: claims } = this.#deps;
    if (!claims) return;
    const isReconciling = () => this.#reconciler.isRunning;
    const listenerOf = (kind: AnnouncementKind) => this.#endListeners.get(kind);
    await new OutboxMover({ ...this.#deps, claims, listenerOf, isReconciling }, lane).run(signal);
  }

  #reconcileSoon(): void {
    for (const { intake } of this.#pools.values()) intake.hold();
    this.reconcile().catch(() => undefined);
  }

  #openIntakes(): void {
    for (const { intake } of this.#pools.values()) intake.release();
  }

  async #restoreQueues(): Promise<void> {
    for (const { lane } of this.#pools.values()) await lane.backlog.restore();
  }

  async #sweepStore(): Promise<boolean> {
    const { store, clock, retentionMs, log } = this.#deps;
    const report = await store.sweep(clock.epochMs(), retentionMs);
    if (report.removedSegments > 0) log.info({ ...report }, 'retention.swept');
    return false;
  }
}

function noSlots(pool: PoolKey): PilotlightError {
  return new PilotlightError('draining', `Pool ${pool} takes in no stored work now.`);
}

function endedElsewhere(id: string): PilotlightError {
  return new PilotlightError('request_cancelled', `Job ${id} was ended by another process.`);
}
