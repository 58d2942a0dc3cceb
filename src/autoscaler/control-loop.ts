import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { CatalogSource, PoolKey, PoolSpec } from '../core/objects.ts';
import type { PoolStatus } from '../core/replicas.ts';
import { act } from './actions.ts';
import { BootWatch } from './boot-watch.ts';
import { DecisionLog, type DecisionRecord } from './decision-log.ts';
import { GpuMeter, type GpuUse } from './gpu-meter.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import { Nap } from './nap.ts';
import type { BootResult } from './policy/boot-tracker.ts';
import { buildSnapshot } from './policy/build-snapshot.ts';
import { decide } from './policy/decide.ts';
import { type Decision, desiredTotal } from './policy/decision.ts';
import { type DownWindow, newDownWindow, noteWanted, windowMaxPods } from './policy/down-window.ts';
import { type LearnedPool, learnedPool, restorePool } from './policy/learned-state.ts';
import { newPoolMemory, type Observation, observe, type PoolMemory } from './policy/pool-memory.ts';
import type { DecisionHistory, Snapshot } from './policy/snapshot.ts';
import { type WaitAdvice, waitAdvice } from './policy/wait-advice.ts';
import { poolStatus } from './pool-status.ts';
import type { ScaleTargetPort } from './ports.ts';
import { reportDecision, reportReplicas } from './report.ts';
import type { TemplateKnowledge } from './template-knowledge.ts';

/** A ledger that does not answer in this time counts as unreachable. */
const LEDGER_TIMEOUT_MS = 2_000;
/** Wake-ups that follow each other closer than this are taken together; the first of them is never delayed. */
const WAKE_GAP_MS = 20;
/** After an unreachable ledger, and while a drain is watched. */
const SHORT_TICK_MS = 500;

export interface ControlLoopDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly catalog: CatalogSource;
  readonly ledger: SlotLedger;
  readonly target: ScaleTargetPort;
  readonly templates: TemplateKnowledge;
  readonly metrics: AutoscalerMetrics;
}

interface Look {
  readonly seen: Observation;
  readonly ledger: LedgerSnapshot;
  readonly snapshot: Snapshot;
}

/**
 * Observes, decides and acts for one pool until its signal aborts. Level-triggered: every step starts from the world as
 * it is. It looks again at once when work arrives at a pool without an open slot and when a replica changes its phase.
 * A ledger that cannot be reached freezes the replicas: missing data is never read as zero.
 */
export class ControlLoop {
  readonly #deps: ControlLoopDeps;
  readonly #nap: Nap;
  readonly #boots: BootWatch;
  readonly #decisions = new DecisionLog();
  readonly #gpus: GpuMeter;
  #pool: PoolSpec;
  /** The pool has left the catalog: what runs is drained and ended. */
  #removed = false;
  #memory: PoolMemory;
  #downWindow: DownWindow;
  #lastUpMs = Number.NEGATIVE_INFINITY;
  #lastDownMs = Number.NEGATIVE_INFINITY;

  constructor(deps: ControlLoopDeps, pool: PoolSpec, learned: LearnedPool | undefined) {
    const nowMs = deps.clock.monotonicMs();
    const memory = newPoolMemory(nowMs);
    this.#deps = deps;
    this.#pool = pool;
    this.#memory = learned === undefined ? memory : restorePool(memory, learned);
    this.#downWindow = newDownWindow(nowMs);
    this.#nap = new Nap(deps.clock);
    this.#gpus = new GpuMeter(pool.key, deps.metrics, nowMs);
    this.#boots = new BootWatch(deps.clock, (result) => this.#onBoot(result));
  }

  get pool(): PoolKey {
    return this.#pool.key;
  }

  get removed(): boolean {
    return this.#removed;
  }

  /** Looks again now. */
  wake(): void {
    this.#nap.wake();
  }

  /** Takes the pool's newest spec; null = it is gone. */
  update(pool: PoolSpec | null): void {
    this.#removed = pool === null;
    // Without targets every replica is a stranger and leaves through a drain.
    this.#pool = pool ?? { ...this.#pool, targets: [], scale: { ...this.#pool.scale, paused: false, mode: 'Native' } };
    this.wake();
  }

  /** Runs until `signal` aborts, or until a removed pool has no replica left. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { ledger, target, clock } = this.#deps;
    const stopDemand = ledger.onDemand(() => this.wake());
    const stopReplicas = target.onReplicaChange((pool) => {
      if (pool === this.pool) this.#onReplicaChange();
    });
    const onAbort = (): void => this.wake();
    signal.addEventListener('abort', onAbort);
    let wasWoken = false;
    while (!signal.aborted && !(this.#removed && target.replicas(this.pool).length === 0)) {
      const startedMs = clock.monotonicMs();
      const reviewInMs = await this.#step();
      const isWoken = await this.#nap.take(reviewInMs);
      const gapMs = isWoken && wasWoken ? WAKE_GAP_MS - (clock.monotonicMs() - startedMs) : 0;
      if (gapMs > 0) await clock.sleep(gapMs, signal).catch(() => undefined);
      wasWoken = isWoken;
    }
    signal.removeEventListener('abort', onAbort);
    stopDemand();
    stopReplicas();
  }

  status(): PoolStatus {
    const { target, clock } = this.#deps;
    return poolStatus({
      pool: this.#pool,
      replicas: target.replicas(this.pool),
      last: this.#decisions.last,
      nowMs: clock.monotonicMs(),
      supports: (candidate) => target.supports(candidate),
    });
  }

  decisions(): readonly DecisionRecord[] {
    return this.#decisions.records;
  }

  gpuUse(): GpuUse {
    return this.#gpus.use(this.#pool, this.#deps.clock.monotonicMs());
  }

  /** What a waiting caller can be told; null before the first look. */
  advice(): WaitAdvice | null {
    const last = this.#decisions.last;
    return last === undefined ? null : waitAdvice(last.snapshot, this.#memory.releases, this.#deps.clock.monotonicMs());
  }

  learned(): LearnedPool {
    return learnedPool(this.#memory);
  }

  #onReplicaChange(): void {
    this.#boots.note(this.#deps.target.replicas(this.pool));
    this.wake();
  }

  #onBoot(result: BootResult): void {
    const { metrics, templates, clock, log } = this.#deps;
    const labels = { pool: this.pool };
    templates.learn(result, clock.monotonicMs());
    if (result.kind === 'ready') {
      const { Requested: wholeMs } = result.boot.toReadyMs;
      if (wholeMs !== undefined) metrics.bootDurationSeconds.observe(labels, wholeMs / 1_000);
      return;
    }
    metrics.bootFailuresTotal.inc(labels);
    log.warn({ ...labels, message: result.message }, 'autoscaler.boot_failed');
  }

  /** One look, one decision, its actions. Returns when to look again. */
  async #step(): Promise<number> {
    try {
      const look = await this.#look();
      if (look === null) return this.#hold();
      const decision = decide(look.snapshot);
      const acted = await this.#carryOut(decision, look);
      this.#remember(decision, look.snapshot, acted);
      const isDraining = look.snapshot.replicas.some(({ phase }) => phase === 'Draining');
      return isDraining ? Math.min(SHORT_TICK_MS, decision.reviewInMs) : decision.reviewInMs;
    } catch (thrown) {
      this.#deps.log.error({ pool: this.pool, error: asError(thrown).message }, 'autoscaler.step_failed');
      return SHORT_TICK_MS;
    }
  }

  /** Nothing is known of the demand: whatever was decided last stays. */
  #hold(): number {
    const last = this.#decisions.last;
    if (last === undefined) return SHORT_TICK_MS;
    const sentence = 'holds: the ledger does not know the demand now, so replicas stay as they are';
    const held: Decision = { ...last.decision, rule: 'hold', sentence, toZero: false, abandon: [] };
    const isNew = this.#decisions.add(held, last.snapshot, false, this.#deps.clock.epochMs());
    reportDecision(this.#deps, this.pool, held, last.snapshot, isNew);
    return SHORT_TICK_MS;
  }

  async #look(): Promise<Look | null> {
    const { clock, catalog, target, templates, metrics } = this.#deps;
    const ledger = await this.#readLedger();
    metrics.sourceAvailable.set({ pool: this.pool, source: 'ledger' }, ledger === null ? 0 : 1);
    const replicas = target.replicas(this.pool);
    this.#boots.note(replicas);
    reportReplicas(metrics, this.pool, replicas);
    if (ledger === null) return null;
    const current = catalog.current();
    const seen: Observation = {
      nowMs: clock.monotonicMs(),
      nowEpochMs: clock.epochMs(),
      ledger,
      replicas,
      becameReady: this.#boots.takeBecameReady(),
      objectiveOf: (name) => current.objective(this.pool, name) ?? current.defaultObjective(this.pool),
    };
    this.#memory = observe(this.#memory, seen);
    const snapshot = buildSnapshot({
      pool: this.#pool,
      targets: this.#pool.targets
        .filter((spec) => target.supports(spec))
        .map((spec) => ({ spec, templateHash: target.templateHash(spec) })),
      seen,
      memory: this.#memory,
      tracked: this.#boots.tracked,
      templates: templates.current,
      history: this.#history(seen.nowMs),
    });
    this.#gpus.charge(snapshot);
    return { seen, ledger, snapshot };
  }

  /** Null when the ledger cannot be reached or still counts its owners' tickets after a restart. */
  async #readLedger(): Promise<LedgerSnapshot | null> {
    const { clock, ledger, log } = this.#deps;
    const given = new AbortController();
    const late = clock.sleep(LEDGER_TIMEOUT_MS, given.signal).then(
      () => null,
      () => null,
    );
    try {
      const snapshot = await Promise.race([ledger.snapshot(), late]);
      if (snapshot === null) log.warn({ pool: this.pool, timeoutMs: LEDGER_TIMEOUT_MS }, 'autoscaler.ledger_silent');
      return snapshot?.recovering === true ? null : snapshot;
    } catch (thrown) {
      log.warn({ pool: this.pool, error: asError(thrown).message }, 'autoscaler.ledger_unreachable');
      return null;
    } finally {
      given.abort();
    }
  }

  #history(nowMs: number): DecisionHistory {
    const windowMs = this.#decisions.last?.decision.components.scaleDownAfterMs;
    return {
      windowMaxPods: windowMs === undefined ? null : windowMaxPods(this.#downWindow, nowMs, windowMs),
      sinceUpMs: nowMs - this.#lastUpMs,
      sinceDownMs: nowMs - this.#lastDownMs,
    };
  }

  async #carryOut(decision: Decision, look: Look): Promise<boolean> {
    if (this.#pool.scale.mode !== 'Native') return false;
    const { ledger, snapshot, seen } = look;
    return await act(this.#deps, { pool: this.#pool, decision, snapshot, ledger, replicas: seen.replicas });
  }

  #remember(decision: Decision, snapshot: Snapshot, acted: boolean): void {
    const { nowMs } = snapshot;
    const { live, wantedToFall, scaleDownAfterMs } = decision.components;
    this.#downWindow = noteWanted(this.#downWindow, wantedToFall, nowMs, scaleDownAfterMs);
    const desired = desiredTotal(decision);
    if (desired > live) this.#lastUpMs = nowMs;
    if (desired < live) this.#lastDownMs = nowMs;
    const isNew = this.#decisions.add(decision, snapshot, acted, this.#deps.clock.epochMs());
    reportDecision(this.#deps, this.pool, decision, snapshot, isNew);
  }
}
