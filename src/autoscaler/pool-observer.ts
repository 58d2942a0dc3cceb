import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog, CatalogSource, PoolKey, PoolSpec } from '../core/objects.ts';
import type { Frozen } from '../core/replicas.ts';
import { BootWatch } from './boot-watch.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import type { ArrivalRate } from './policy/arrival-rate.ts';
import type { BootResult } from './policy/boot-tracker.ts';
import { buildSnapshot } from './policy/build-snapshot.ts';
import { type LearnedPool, learnedPool, restorePool } from './policy/learned-state.ts';
import type { PeopleOrders } from './policy/people-orders.ts';
import { newPoolMemory, type Observation, observe, type PoolMemory } from './policy/pool-memory.ts';
import type { DecisionHistory, Snapshot } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';
import type { ScaleTargetPort } from './ports.ts';
import { reportReplicas } from './report.ts';
import type { TemplateKnowledge } from './template-knowledge.ts';

/** A ledger that does not answer in this time counts as unreachable. */
const LEDGER_TIMEOUT_MS = 2_000;
const LEDGER_WHY = 'the demand is not known, because Redis does not answer or still counts after a restart';

export interface ObserverDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly catalog: CatalogSource;
  readonly ledger: SlotLedger;
  readonly target: ScaleTargetPort;
  readonly templates: TemplateKnowledge;
  readonly metrics: AutoscalerMetrics;
}

/** One look at a pool: what a decision sees, and what its actions need beside it. */
export interface Look {
  readonly ledger: LedgerSnapshot;
  readonly replicas: readonly TargetReplica[];
  readonly snapshot: Snapshot;
}

/** What a look cannot find out by itself. */
export interface LookContext {
  readonly orders: PeopleOrders;
  readonly bypass: Snapshot['bypass'];
  historyAt(nowMs: number): DecisionHistory;
}

/** Why there is nothing to decide on now: missing data is never read as zero. */
export type Blindness = Pick<Frozen, 'source' | 'why'>;

/** Looks at the ledger and the replicas of one pool, and keeps what is learned from one look to the next. */
export class PoolObserver {
  readonly #deps: ObserverDeps;
  readonly #pool: PoolKey;
  readonly #boots: BootWatch;
  #memory: PoolMemory;
  #lastCatalog: Catalog;
  #isBlind = false;

  constructor(deps: ObserverDeps, pool: PoolKey, learned: LearnedPool | undefined) {
    const memory = newPoolMemory(deps.clock.monotonicMs());
    this.#deps = deps;
    this.#pool = pool;
    this.#lastCatalog = deps.catalog.current();
    this.#memory = learned === undefined ? memory : restorePool(memory, learned);
    this.#boots = new BootWatch(deps.clock, (result) => this.#onBoot(result));
  }

  get releases(): ArrivalRate {
    return this.#memory.releases;
  }

  learned(): LearnedPool {
    return learnedPool(this.#memory);
  }

  /** To be called at every change of a replica's phase, so that boots are timed exactly. */
  noteReplicas(): void {
    const { target } = this.#deps;
    if (target.available(this.#pool).ok) this.#boots.note(target.replicas(this.#pool));
  }

  /** The pool stays up for as long as it is kept warm, from now: something uses it that the ledger does not know. */
  noteActivity(): void {
    this.#memory = { ...this.#memory, lastActivityMs: this.#deps.clock.monotonicMs() };
  }

  /** The pool as it is now, or what is not known of it. */
  async look(spec: PoolSpec, context: LookContext): Promise<Look | Blindness> {
    const { clock, target, templates, metrics } = this.#deps;
    const ledger = await this.#readLedger();
    const known = target.available(this.#pool);
    metrics.sourceAvailable.set({ pool: this.#pool, source: 'ledger' }, ledger === null ? 0 : 1);
    metrics.sourceAvailable.set({ pool: this.#pool, source: 'replicas' }, known.ok ? 1 : 0);
    const replicas = target.replicas(this.#pool);
    if (known.ok) {
      this.#boots.note(replicas);
      reportReplicas(metrics, this.#pool, replicas);
    }
    if (!known.ok || ledger === null) {
      this.#isBlind = true;
      return known.ok ? { source: 'ledger', why: LEDGER_WHY } : { source: 'replicas', why: known.why };
    }
    const seen = this.#observation(spec, ledger, replicas, clock.monotonicMs());
    this.#memory = observe(this.#memory, seen);
    this.#isBlind = false;
    const snapshot = buildSnapshot({
      pool: spec,
      targets: spec.targets
        .filter((one) => target.supports(one))
        .map((one) => ({ spec: one, state: target.state(this.#pool, one) })),
      seen,
      memory: this.#memory,
      tracked: this.#boots.tracked,
      templates: templates.current,
      history: context.historyAt(seen.nowMs),
      orders: context.orders,
      bypass: context.bypass,
    });
    return { ledger, replicas, snapshot };
  }

  #observation(spec: PoolSpec, ledger: LedgerSnapshot, replicas: readonly TargetReplica[], nowMs: number): Observation {
    const catalog = this.#catalogOf(spec.key);
    return {
      nowMs,
      nowEpochMs: this.#deps.clock.epochMs(),
      ledger,
      replicas,
      targets: spec.targets,
      becameReady: this.#boots.takeBecameReady(),
      wasBlind: this.#isBlind,
      objectiveOf: (name) => catalog.objective(spec.key, name) ?? catalog.defaultObjective(spec.key),
    };
  }

  /** The newest that has the pool: what still runs in one that is gone keeps its objectives. */
  #catalogOf(pool: PoolKey): Catalog {
    const current = this.#deps.catalog.current();
    if (current.pools.has(pool)) this.#lastCatalog = current;
    return this.#lastCatalog;
  }

  async #readLedger(): Promise<LedgerSnapshot | null> {
    const { clock, ledger, log } = this.#deps;
    const given = new AbortController();
    const late = clock.sleep(LEDGER_TIMEOUT_MS, given.signal).then(
      () => null,
      () => null,
    );
    try {
      const snapshot = await Promise.race([ledger.snapshot(), late]);
      if (snapshot === null) log.warn({ pool: this.#pool, timeoutMs: LEDGER_TIMEOUT_MS }, 'autoscaler.ledger_silent');
      return snapshot?.recovering === true ? null : snapshot;
    } catch (thrown) {
      log.warn({ pool: this.#pool, error: asError(thrown).message }, 'autoscaler.ledger_unreachable');
      return null;
    } finally {
      given.abort();
    }
  }

  #onBoot(result: BootResult): void {
    const { metrics, templates, clock, log } = this.#deps;
    const labels = { pool: this.#pool };
    templates.learn(result, clock.monotonicMs());
    if (result.kind === 'ready') {
      const { Requested: wholeMs } = result.boot.toReadyMs;
      if (wholeMs !== undefined) metrics.bootDurationSeconds.observe(labels, wholeMs / 1_000);
      return;
    }
    metrics.bootFailuresTotal.inc({ ...labels, reason: result.reason ?? 'unknown' });
    log.warn({ ...labels, reason: result.reason, message: result.message }, 'autoscaler.boot_failed');
  }
}
