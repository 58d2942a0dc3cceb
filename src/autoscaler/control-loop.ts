import { asError } from '../core/errors.ts';
import type { PoolKey, PoolSpec } from '../core/objects.ts';
import type { PoolStatus } from '../core/replicas.ts';
import { act } from './actions.ts';
import { PoolHistory } from './pool-history.ts';
import { DecisionLog, type DecisionRecord } from './decision-log.ts';
import { GpuMeter, type GpuUse } from './gpu-meter.ts';
import { Nap } from './nap.ts';
import { decide } from './policy/decide.ts';
import type { Decision } from './policy/decision.ts';
import type { LearnedPool } from './policy/learned-state.ts';
import { type Snapshot, totalQueued } from './policy/snapshot.ts';
import { type WaitAdvice, waitAdvice } from './policy/wait-advice.ts';
import { type ObserverDeps, PoolObserver } from './pool-observer.ts';
import { poolStatus } from './pool-status.ts';
import { reportDecision, reportReplicas } from './report.ts';

/** Wake-ups that follow each other closer than this are taken together; the first of them is never delayed. */
const WAKE_GAP_MS = 20;
/** While the ledger does not answer, and while a drain is watched. */
const SHORT_TICK_MS = 500;

/**
 * Observes, decides and acts for one pool until its signal aborts. Level-triggered: every step starts from the world as
 * it is. It looks again at once when work arrives at a pool without an open slot and when a replica changes its phase.
 * A ledger that cannot be reached freezes the replicas: missing data is never read as zero.
 */
export class ControlLoop {
  readonly #deps: ObserverDeps;
  readonly #nap: Nap;
  readonly #observer: PoolObserver;
  readonly #history: PoolHistory;
  readonly #decisions = new DecisionLog();
  readonly #gpus: GpuMeter;
  #pool: PoolSpec;
  /** The pool has left the catalog: what runs is drained and ended. */
  #removed = false;

  constructor(deps: ObserverDeps, pool: PoolSpec, learned: LearnedPool | undefined) {
    const nowMs = deps.clock.monotonicMs();
    this.#deps = deps;
    this.#pool = pool;
    this.#nap = new Nap(deps.clock);
    this.#observer = new PoolObserver(deps, pool.key, learned);
    this.#history = new PoolHistory(nowMs);
    this.#gpus = new GpuMeter(pool.key, deps.metrics, nowMs);
  }

  get pool(): PoolKey {
    return this.#pool.key;
  }

  /** Takes the pool's newest spec; null = it is gone. */
  update(pool: PoolSpec | null): void {
    this.#removed = pool === null;
    // Without targets every replica is one too many and leaves through a drain.
    this.#pool = pool ?? { ...this.#pool, targets: [], scale: { ...this.#pool.scale, paused: false, mode: 'Native' } };
    if (pool !== null) this.#deps.target.configure(pool);
    this.#nap.wake();
  }

  /** Runs until `signal` aborts, or until a removed pool has no replica left. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { ledger, target, clock } = this.#deps;
    const onAbort = (): void => this.#nap.wake();
    const stopDemand = ledger.onDemand(() => {
      if (!this.#isKnownBusy()) this.#nap.wake();
    });
    const stopReplicas = target.onReplicaChange((pool) => {
      if (pool === this.pool) this.#onReplicaChange();
    });
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
    if (this.#removed) reportReplicas(this.#deps.metrics, this.pool, []);
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

  /** The last 50, oldest first. */
  decisions(): readonly DecisionRecord[] {
    return this.#decisions.records;
  }

  gpuUse(): GpuUse {
    return this.#gpus.use(this.#pool, this.#deps.clock.monotonicMs());
  }

  /** What a waiting caller can be told; null before the first look. */
  advice(): WaitAdvice | null {
    const last = this.#decisions.last;
    if (last === undefined) return null;
    return waitAdvice(last.snapshot, this.#observer.releases, this.#deps.clock.monotonicMs());
  }

  learned(): LearnedPool {
    return this.#observer.learned();
  }

  /** The last look saw a queue in front of replicas that serve or boot: more of it is no news before the next tick. */
  #isKnownBusy(): boolean {
    const last = this.#decisions.last;
    return last !== undefined && last.decision.components.live > 0 && totalQueued(last.snapshot) > 0;
  }

  #onReplicaChange(): void {
    this.#observer.noteReplicas();
    this.#nap.wake();
  }

  /** One look, one decision, its actions. Returns when to look again. */
  async #step(): Promise<number> {
    const pool = this.#pool;
    try {
      const look = await this.#observer.look(pool, (nowMs) => this.#history.at(nowMs));
      if (look === null) return this.#hold();
      const { snapshot } = look;
      this.#gpus.charge(snapshot);
      const decision = decide(snapshot);
      const acted = pool.scale.mode === 'Native' && (await act(this.#deps, { pool, decision, ...look }));
      this.#history.add(decision, snapshot.nowMs);
      this.#record(decision, snapshot, acted);
      const isDraining = snapshot.replicas.some(({ phase }) => phase === 'Draining');
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
    this.#record(held, last.snapshot, false);
    return SHORT_TICK_MS;
  }

  #record(decision: Decision, snapshot: Snapshot, acted: boolean): void {
    const isNew = this.#decisions.add(decision, snapshot, acted, this.#deps.clock.epochMs());
    reportDecision(this.#deps, this.pool, decision, snapshot, isNew);
  }
}
