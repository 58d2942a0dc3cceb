import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog, CatalogSource, PoolKey } from '../core/objects.ts';
import type { PoolOrders } from '../core/pool-orders.ts';
import type { PoolStatus } from '../core/replicas.ts';
import { ControlLoop, type ControlLoopDeps } from './control-loop.ts';
import type { DecisionRecord } from './decision-log.ts';
import type { GpuUse } from './gpu-meter.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import { Nap } from './nap.ts';
import {
  bootHistory,
  type ClockPair,
  type LearnedState,
  learnedBreakers,
  nothingLearned,
  parseLearnedState,
  restoreBreakers,
} from './policy/learned-state.ts';
import type { WaitAdvice } from './policy/wait-advice.ts';
import type { PoolView } from './pool-view.ts';
import type { EngineActivity, LearnedStateStore, ScaleTargetPort, TargetState } from './ports.ts';
import { TemplateKnowledge } from './template-knowledge.ts';
import type { AdviceSource } from './wait-advisor.ts';

/** What was learned is saved this often, and after each boot. */
const SAVE_EVERY_MS = 30_000;

export interface AutoscalerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly catalog: CatalogSource;
  readonly ledgerOf: (pool: PoolKey) => SlotLedger;
  readonly target: ScaleTargetPort;
  readonly learned: LearnedStateStore;
  readonly metrics: AutoscalerMetrics;
  /** Absent: nobody gives orders. */
  readonly orders?: PoolOrders;
  /** Asked before a ready replica is ended; absent: what the ledger says is proof enough. */
  readonly engines?: EngineActivity;
}

/**
 * One control loop for each pool of the catalog, and what they all have learned. One instance for each term of a leader:
 * it is started once and stopped once, also while it starts.
 */
export class Autoscaler implements AdviceSource {
  readonly #deps: AutoscalerDeps;
  readonly #loops = new Map<PoolKey, { readonly loop: ControlLoop; readonly done: Promise<void> }>();
  readonly #stopped = new AbortController();
  readonly #saveNap: Nap;
  readonly #listeners = new Set<(pool: PoolKey) => void>();
  #templates: TemplateKnowledge;
  #learned: LearnedState = nothingLearned;
  #saving: Promise<void> = Promise.resolve();
  #stopCatalog: () => void = () => undefined;

  constructor(deps: AutoscalerDeps) {
    this.#deps = deps;
    this.#saveNap = new Nap(deps.clock);
    this.#templates = this.#newKnowledge();
  }

  /** Loads what was learned and starts the loops; returns when each has begun. */
  async start(): Promise<void> {
    this.#learned = parseLearnedState(await this.#deps.learned.load());
    if (this.#stopped.signal.aborted) return;
    this.#templates = this.#newKnowledge();
    this.#stopCatalog = this.#deps.catalog.onChange((catalog) => this.#follow(catalog));
    this.#follow(this.#deps.catalog.current());
    this.#saving = this.#keepSaving();
  }

  /**
   * Ends the loops at once and saves what was learned. Replicas stay as they are, drain marks included; an action that
   * still waits for its answer is left behind and writes nothing more.
   */
  async stop(): Promise<void> {
    this.#stopCatalog();
    this.#stopped.abort();
    this.#saveNap.wake();
    await Promise.all([...this.#loops.values()].map(({ done }) => done));
    await this.#saving;
  }

  /** Called after each look and each change of a replica of that pool. Returns the way to stop. */
  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everything about one pool; undefined when it is not managed here. */
  view(pool: PoolKey): PoolView | undefined {
    return this.#loops.get(pool)?.loop.view();
  }

  /** By name of the target; empty for a pool that is not managed here. */
  targetStates(pool: PoolKey): Readonly<Record<string, TargetState>> {
    return this.#loops.get(pool)?.loop.targetStates() ?? {};
  }

  status(pool: PoolKey): PoolStatus | undefined {
    return this.#loops.get(pool)?.loop.status();
  }

  advice(pool: PoolKey): WaitAdvice | null {
    return this.#loops.get(pool)?.loop.advice() ?? null;
  }

  /** The last 50 decisions, oldest first; empty for a pool that is not managed here. */
  decisions(pool: PoolKey): readonly DecisionRecord[] {
    return this.#loops.get(pool)?.loop.decisions() ?? [];
  }

  gpuUse(pool: PoolKey): GpuUse | undefined {
    return this.#loops.get(pool)?.loop.gpuUse();
  }

  #now(): ClockPair {
    const { clock } = this.#deps;
    return { monotonicMs: clock.monotonicMs(), epochMs: clock.epochMs() };
  }

  #newKnowledge(): TemplateKnowledge {
    const breakers = restoreBreakers(this.#learned, this.#now());
    return new TemplateKnowledge({ boots: bootHistory(this.#learned), breakers }, () => this.#saveNap.wake());
  }

  #follow(catalog: Catalog): void {
    for (const { loop } of this.#loops.values()) loop.update(catalog.pools.get(loop.pool) ?? null);
    for (const [key, pool] of catalog.pools) {
      if (this.#loops.has(key)) continue;
      const loop = new ControlLoop(this.#loopDeps(key), pool, this.#learned.pools[key]);
      const done = loop.run(this.#stopped.signal).then(() => this.#ended(loop));
      this.#loops.set(key, { loop, done });
    }
  }

  #loopDeps(pool: PoolKey): ControlLoopDeps {
    const { ledgerOf, orders, engines, ...deps } = this.#deps;
    const changed = (key: PoolKey): void => {
      for (const listener of this.#listeners) listener(key);
    };
    return {
      ...deps,
      ledger: ledgerOf(pool),
      templates: this.#templates,
      orders: orders ?? null,
      engines: engines ?? null,
      changed,
    };
  }

  /** A removed pool's loop has ended; if the pool came back at that very moment, it starts anew. */
  #ended(loop: ControlLoop): void {
    if (this.#stopped.signal.aborted) return;
    this.#loops.delete(loop.pool);
    this.#follow(this.#deps.catalog.current());
  }

  async #keepSaving(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#saveNap.take(SAVE_EVERY_MS);
      await this.#save();
    }
  }

  async #save(): Promise<void> {
    const pools = [...this.#loops.values()].map(({ loop }) => [loop.pool, loop.learned()] as const);
    const state: LearnedState = {
      version: 1,
      boots: Object.fromEntries(this.#templates.current.boots),
      pools: Object.fromEntries(pools),
      breakers: learnedBreakers(this.#templates.current.breakers, this.#now()),
    };
    try {
      await this.#deps.learned.save(state);
    } catch (thrown) {
      this.#deps.log.warn({ error: asError(thrown).message }, 'autoscaler.save_failed');
    }
  }
}
