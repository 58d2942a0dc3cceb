import { asError } from '../core/errors.ts';
import type { PoolKey, PoolSpec } from '../core/objects.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../core/pool-orders.ts';
import type { BypassTraffic, Frozen, PoolStatus } from '../core/replicas.ts';
import { formatDuration } from '../core/units.ts';
import { type Acted, act } from './actions.ts';
import { DecisionLog, type DecisionRecord } from './decision-log.ts';
import { GpuMeter, type GpuUse } from './gpu-meter.ts';
import { IdleProof } from './idle-proof.ts';
import { forgetGauges } from './metrics.ts';
import { Nap } from './nap.ts';
import { decide } from './policy/decide.ts';
import type { Decision } from './policy/decision.ts';
import type { LearnedPool } from './policy/learned-state.ts';
import { isLowered, type Leaving, leaving } from './policy/leaving.ts';
import { noPeopleOrders, type PeopleOrders, peopleOrders } from './policy/people-orders.ts';
import { type Snapshot, totalQueued } from './policy/snapshot.ts';
import { type WaitAdvice, waitAdvice } from './policy/wait-advice.ts';
import { PoolHistory } from './pool-history.ts';
import { type Blindness, type Look, type ObserverDeps, PoolObserver } from './pool-observer.ts';
import { poolStatus } from './pool-status.ts';
import type { PoolView } from './pool-view.ts';
import type { EngineActivity, TargetState } from './ports.ts';
import { forgetTargets, reportDecision, reportHolds } from './report.ts';
import { poolView, type ViewSources } from './view-of-pool.ts';

/** Wake-ups that follow each other closer than this are taken together; the first of them is never delayed. */
const WAKE_GAP_MS = 20;
/** While something is not known, and while a drain is watched. */
const SHORT_TICK_MS = 500;
/** Between two tries to release the targets of a policy that is gone. */
const RELEASE_RETRY_MS = 2_000;

export interface ControlLoopDeps extends ObserverDeps {
  /** Null: nobody gives orders. */
  readonly orders: PoolOrders | null;
  /** Null: engines are not asked, and what the ledger says is proof enough. */
  readonly engines: EngineActivity | null;
  /** Called after each look and each change of a replica. */
  readonly changed: (pool: PoolKey) => void;
}

interface Departure extends Leaving {
  readonly sinceMs: number;
  readonly isReleased: boolean;
}

/**
 * Observes, decides and acts for one pool until its signal aborts. Level-triggered: every step starts from the world as
 * it is. It looks again at once when work arrives at a pool without an open slot, when a replica changes its phase and
 * when people order something. While demand or replicas are not known the replicas stay as they are: missing data is
 * never read as zero.
 */
export class ControlLoop {
  readonly #deps: ControlLoopDeps;
  readonly #nap: Nap;
  readonly #observer: PoolObserver;
  readonly #history: PoolHistory;
  readonly #proof: IdleProof;
  readonly #decisions = new DecisionLog();
  readonly #gpus: GpuMeter;
  #pool: PoolSpec;
  /** A decision whose actions are under way: what they do shows already, so must the reason. */
  #acting: DecisionRecord | null = null;
  /** The pool has left the catalog. */
  #departure: Departure | null = null;
  #frozen: Frozen | null = null;
  #bypass: BypassTraffic | null = null;

  constructor(deps: ControlLoopDeps, pool: PoolSpec, learned: LearnedPool | undefined) {
    const nowMs = deps.clock.monotonicMs();
    this.#deps = deps;
    this.#pool = pool;
    this.#nap = new Nap(deps.clock);
    this.#observer = new PoolObserver(deps, pool.key, learned);
    this.#history = new PoolHistory(nowMs);
    this.#proof = new IdleProof(deps.engines, deps.clock, () => this.#nap.wake());
    this.#gpus = new GpuMeter(pool.key, deps.metrics, nowMs);
  }

  get pool(): PoolKey {
    return this.#pool.key;
  }

  /** Takes the pool's newest spec; null = it is gone. */
  update(pool: PoolSpec | null): void {
    if (pool !== null) {
      this.#departure = null;
      this.#pool = pool;
      this.#deps.target.configure(pool);
    } else if (this.#departure === null) {
      const gone = leaving(this.#pool);
      this.#departure = { ...gone, sinceMs: this.#deps.clock.monotonicMs(), isReleased: false };
      this.#pool = gone.lower ?? this.#pool;
    }
    this.#nap.wake();
  }

  /** Runs until `signal` aborts, or until a removed pool is left as it should be. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { ledger, target, orders, clock } = this.#deps;
    const aborted = new Promise<number>((resolve) => {
      signal.addEventListener('abort', () => resolve(0), { once: true });
    });
    const onAbort = (): void => this.#nap.wake();
    const listeners = [
      ledger.onDemand(() => {
        if (!this.#isKnownBusy()) this.#nap.wake();
      }),
      target.onReplicaChange((pool) => {
        if (pool === this.pool) this.#onReplicaChange();
      }),
      orders?.onChange((pool) => {
        if (pool === this.pool) this.#nap.wake();
      }),
    ];
    signal.addEventListener('abort', onAbort);
    target.configure(this.#pool);
    let wasWoken = false;
    while (!signal.aborted && !this.#hasLeft()) {
      const startedMs = clock.monotonicMs();
      // A step that waits for an answer is left behind at the end: it writes nothing any more.
      const reviewInMs = await Promise.race([this.#step(signal), aborted]);
      const isWoken = await this.#nap.take(reviewInMs);
      const gapMs = isWoken && wasWoken ? WAKE_GAP_MS - (clock.monotonicMs() - startedMs) : 0;
      if (gapMs > 0) await clock.sleep(gapMs, signal).catch(() => undefined);
      wasWoken = isWoken;
    }
    signal.removeEventListener('abort', onAbort);
    for (const stopListening of listeners) stopListening?.();
    await forgetGauges(this.#deps.metrics, this.pool);
  }

  status(): PoolStatus {
    const { target, clock } = this.#deps;
    return poolStatus({
      pool: this.#pool,
      replicas: target.replicas(this.pool),
      last: this.#last(),
      nowMs: clock.monotonicMs(),
      nowEpochMs: clock.epochMs(),
      orders: this.#orders(),
      frozen: this.#frozen,
      bypassTraffic: this.#bypass,
      supports: (candidate) => target.supports(candidate),
    });
  }

  view(): PoolView {
    const { clock } = this.#deps;
    const sources: ViewSources = {
      atEpochMs: clock.epochMs(),
      nowMs: clock.monotonicMs(),
      pool: this.#pool,
      status: this.status(),
      advice: this.advice(),
      last: this.#last(),
      lastStep: this.#decisions.lastStep,
      gpuUse: this.gpuUse(),
      states: this.targetStates(),
      order: this.#order(),
      orders: this.#orders(),
    };
    return poolView(sources);
  }

  /** By name; of the targets that can be scaled here. */
  targetStates(): Readonly<Record<string, TargetState>> {
    const { target } = this.#deps;
    const supported = this.#pool.targets.filter((one) => target.supports(one));
    return Object.fromEntries(supported.map((one) => [one.name, target.state(this.pool, one)]));
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

  #last(): DecisionRecord | undefined {
    return this.#acting ?? this.#decisions.last;
  }

  learned(): LearnedPool {
    return this.#observer.learned();
  }

  #order(): PoolOrder {
    return this.#deps.orders?.of(this.pool) ?? NO_ORDER;
  }

  /** Those in force; none for a pool that is gone. */
  #orders(): PeopleOrders {
    return this.#departure === null ? peopleOrders(this.#order(), this.#deps.clock.epochMs()) : noPeopleOrders;
  }

  /** The last look saw a queue in front of replicas that serve or boot: more of it is no news before the next tick. */
  #isKnownBusy(): boolean {
    const last = this.#decisions.last;
    return last !== undefined && last.decision.components.live > 0 && totalQueued(last.snapshot) > 0;
  }

  #onReplicaChange(): void {
    this.#observer.noteReplicas();
    this.#deps.changed(this.pool);
    this.#nap.wake();
  }

  /** One look, one decision, its actions. Returns when to look again. */
  async #step(signal: AbortSignal): Promise<number> {
    try {
      if (await this.#leave(signal)) return this.#hasLeft() ? 0 : RELEASE_RETRY_MS;
      return await this.#lookAndAct(signal);
    } catch (thrown) {
      this.#deps.log.error({ pool: this.pool, error: asError(thrown).message }, 'autoscaler.step_failed');
      return SHORT_TICK_MS;
    } finally {
      this.#acting = null;
      if (!signal.aborted) this.#deps.changed(this.pool);
    }
  }

  async #lookAndAct(signal: AbortSignal): Promise<number> {
    const pool = this.#pool;
    const orders = this.#orders();
    const bypass = this.#bypass === null ? null : { requests: this.#bypass.requests };
    const look = await this.#observer.look(pool, { orders, bypass, historyAt: (nowMs) => this.#history.at(nowMs) });
    if (signal.aborted) return SHORT_TICK_MS;
    // The policy changed during the look: nothing is done in the name of the old one.
    if (pool !== this.#pool) return 0;
    if ('why' in look) return this.#hold(look);
    this.#frozen = null;
    const { snapshot } = look;
    this.#gpus.charge(snapshot);
    const decision = decide(snapshot);
    const atEpochMs = this.#deps.clock.epochMs();
    this.#acting = { atEpochMs, lastAtEpochMs: atEpochMs, times: 1, decision, snapshot, acted: false };
    const acted = pool.scale.mode === 'Native' && (await this.#act(pool, decision, look, signal));
    if (isOver(signal)) return SHORT_TICK_MS;
    this.#history.add(decision, snapshot.nowMs);
    this.#record(decision, snapshot, acted);
    const isDraining = snapshot.replicas.some(({ phase }) => phase === 'Draining');
    return isDraining ? Math.min(SHORT_TICK_MS, decision.reviewInMs) : decision.reviewInMs;
  }

  async #act(pool: PoolSpec, decision: Decision, look: Look, signal: AbortSignal): Promise<boolean> {
    const acted = await act({ ...this.#deps, proof: this.#proof, signal }, { pool, decision, ...look });
    this.#noteEngines(acted, look);
    return acted.done;
  }

  /** What engines said stays until they are asked again, or until nothing runs that could be asked. */
  #noteEngines({ bypassRequests, keepsUp }: Acted, { replicas }: Look): void {
    const isOver = bypassRequests === 0 || !replicas.some(({ endpointIds }) => endpointIds.length > 0);
    if (bypassRequests !== null && bypassRequests > 0) {
      const sinceEpochMs = this.#bypass?.sinceEpochMs ?? this.#deps.clock.epochMs();
      this.#bypass = { requests: bypassRequests, sinceEpochMs };
    } else if (isOver) this.#bypass = null;
    if (keepsUp) this.#observer.noteActivity();
  }

  /** Nothing may be decided: whatever was decided last stays. */
  #hold({ source, why }: Blindness): number {
    const { clock } = this.#deps;
    const isSame = this.#frozen?.source === source;
    const sinceEpochMs = isSame && this.#frozen !== null ? this.#frozen.sinceEpochMs : clock.epochMs();
    this.#frozen = { source, why, sinceEpochMs };
    this.#history.wasBlind(clock.monotonicMs());
    const last = this.#decisions.last;
    if (last === undefined) return SHORT_TICK_MS;
    const forMs = clock.epochMs() - sinceEpochMs;
    const since = forMs > 0 ? ` (for ${formatDuration(forMs)})` : '';
    const sentence = `hold: ${source}: ${why}; replicas stay as they are${since}`;
    const held: Decision = { ...last.decision, rule: 'hold', sentence, toZero: false, abandon: [] };
    this.#record(held, last.snapshot, false);
    return SHORT_TICK_MS;
  }

  /** Whether a pool that is gone needs no more looks. */
  #hasLeft(): boolean {
    const departure = this.#departure;
    if (departure === null) return false;
    return departure.release === null ? this.#deps.target.replicas(this.pool).length === 0 : departure.isReleased;
  }

  /**
   * Releases the targets of a pool that is gone, once nothing has to be drained any more or its time is over. True = no
   * look is needed. What fails is tried again.
   */
  async #leave(signal: AbortSignal): Promise<boolean> {
    const departure = this.#departure;
    const { target, clock, log } = this.#deps;
    if (departure === null || departure.release === null) return false;
    const isOver = clock.monotonicMs() - departure.sinceMs > departure.release.scale.drainTimeoutMs + SHORT_TICK_MS;
    const isDrained = departure.lower === null || isLowered(departure.lower, target.replicas(this.pool));
    if (!isDrained && !isOver) return false;
    try {
      if (!signal.aborted) await target.release(departure.release);
      if (this.#departure === departure) this.#departure = { ...departure, isReleased: true };
    } catch (thrown) {
      log.warn({ pool: this.pool, error: asError(thrown).message }, 'autoscaler.release_failed');
    }
    return true;
  }

  #record(decision: Decision, snapshot: Snapshot, acted: boolean): void {
    const before = this.#decisions.last?.snapshot;
    const isNew = this.#decisions.add(decision, snapshot, acted, this.#deps.clock.epochMs());
    reportDecision(this.#deps, this.pool, decision, snapshot, isNew);
    reportHolds(this.#deps.metrics, this.pool, {
      orders: this.#orders(),
      bypassRequests: this.#bypass?.requests ?? 0,
      snapshot,
    });
    if (before !== undefined) forgetTargets(this.#deps.metrics, before, snapshot);
  }
}

/** Asked anew after each wait. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
