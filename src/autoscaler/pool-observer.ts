import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { CatalogSource, PoolKey, PoolSpec } from '../core/objects.ts';
import { BootWatch } from './boot-watch.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import type { ArrivalRate } from './policy/arrival-rate.ts';
import type { BootResult } from './policy/boot-tracker.ts';
import { buildSnapshot } from './policy/build-snapshot.ts';
import { type LearnedPool, learnedPool, restorePool } from './policy/learned-state.ts';
import { newPoolMemory, type Observation, observe, type PoolMemory } from './policy/pool-memory.ts';
import type { DecisionHistory, Snapshot } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';
import type { ScaleTargetPort } from './ports.ts';
import { reportReplicas } from './report.ts';
import type { TemplateKnowledge } from './template-knowledge.ts';

/** A ledger that does not answer in this time counts as unreachable. */
const LEDGER_TIMEOUT_MS = 2_000;

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

/** Looks at the ledger and the replicas of one pool, and keeps what is learned from one look to the next. */
export class PoolObserver {
  readonly #deps: ObserverDeps;
  readonly #pool: PoolKey;
  readonly #boots: BootWatch;
  #memory: PoolMemory;
  #isBlind = false;

  constructor(deps: ObserverDeps, pool: PoolKey, learned: LearnedPool | undefined) {
    const memory = newPoolMemory(deps.clock.monotonicMs());
    this.#deps = deps;
    this.#pool = pool;
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
    this.#boots.note(this.#deps.target.replicas(this.#pool));
  }

  /** Null when the demand is not known now: the ledger does not answer, or still counts after a restart. */
  async look(spec: PoolSpec, historyAt: (nowMs: number) => DecisionHistory): Promise<Look | null> {
    const { clock, target, templates, metrics } = this.#deps;
    const ledger = await this.#readLedger();
    metrics.sourceAvailable.set({ pool: this.#pool, source: 'ledger' }, ledger === null ? 0 : 1);
    const replicas = target.replicas(this.#pool);
    this.#boots.note(replicas);
    reportReplicas(metrics, this.#pool, replicas);
    if (ledger === null) {
      this.#isBlind = true;
      return null;
    }
    const seen = this.#observation(spec, ledger, replicas, clock.monotonicMs());
    this.#memory = observe(this.#memory, seen);
    this.#isBlind = false;
    const snapshot = buildSnapshot({
      pool: spec,
      targets: spec.targets
        .filter((one) => target.supports(one))
        .map((one) => ({ spec: one, templateHash: target.state(this.#pool, one).templateHash })),
      seen,
      memory: this.#memory,
      tracked: this.#boots.tracked,
      templates: templates.current,
      history: historyAt(seen.nowMs),
    });
    return { ledger, replicas, snapshot };
  }

  #observation(spec: PoolSpec, ledger: LedgerSnapshot, replicas: readonly TargetReplica[], nowMs: number): Observation {
    const catalog = this.#deps.catalog.current();
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
    metrics.bootFailuresTotal.inc(labels);
    log.warn({ ...labels, message: result.message }, 'autoscaler.boot_failed');
  }
}
