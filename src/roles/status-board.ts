import type { Clock } from '../core/clock.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Catalog, CatalogSource, ObjectiveSpec, PoolKey, PoolSpec } from '../core/objects.ts';
import type { Replica, WarmUpPhase } from '../core/replicas.ts';
import type { GpuUsage, ObjectiveReport, PoolReport, StatusReport } from '../core/status.ts';
import type { Readiness, ReadinessSource, StatusSource } from '../ingress/ports.ts';
import { NO_OUTCOMES, type OutcomeTally } from './outcome-tally.ts';
import type { RedisLink } from './redis-link.ts';
import type { PoolViews } from './scaling.ts';

export interface StatusBoardDeps {
  readonly version: string;
  readonly installation: string;
  readonly catalog: CatalogSource;
  /** What is wrong with the objects' files, as sentences. */
  readonly objectProblems: () => readonly string[];
  readonly ledgerOf: (pool: PoolKey) => Pick<SlotLedger, 'snapshot'>;
  readonly views: PoolViews;
  /** Null in a process that runs no calls. */
  readonly tally: OutcomeTally | null;
  readonly redis: RedisLink;
  readonly clock: Clock;
}

/** Puts the pieces that the parts know together into one report, and holds this process's readiness. */
export class StatusBoard implements StatusSource, ReadinessSource {
  readonly #deps: StatusBoardDeps;
  readonly #startedAtEpochMs: number;
  #readiness: Readiness = { kind: 'starting', reason: 'starting' };

  constructor(deps: StatusBoardDeps) {
    this.#deps = deps;
    this.#startedAtEpochMs = deps.clock.epochMs();
  }

  readiness(): Readiness {
    return this.#readiness;
  }

  setReadiness(readiness: Readiness): void {
    this.#readiness = readiness;
  }

  async status(): Promise<StatusReport> {
    const { version, installation, catalog, redis, clock, objectProblems } = this.#deps;
    const objects = catalog.current();
    const pools = await Promise.all([...objects.pools.values()].map((pool) => this.#poolReport(objects, pool)));
    const reachable = pools.every(({ ledger }) => ledger !== null) && redis.command.status === 'ready';
    const readiness = this.#readiness;
    const problems = [
      ...(readiness.kind === 'ready' ? [] : [readiness.reason]),
      ...(reachable
        ? []
        : ['Redis does not answer: nothing is dispatched and replicas stay as they are until it does.']),
      ...objectProblems(),
      ...[...objects.pools.keys()].flatMap((pool) => this.#deps.views.silence(pool) ?? []),
    ];
    return {
      version,
      installation,
      startedAtEpochMs: this.#startedAtEpochMs,
      nowEpochMs: clock.epochMs(),
      ready: readiness.kind === 'ready',
      problems,
      redis: { source: redis.source, version: redis.version, reachable },
      pools: pools.map(({ report }) => report),
    };
  }

  async decisions(pool: string): Promise<readonly unknown[] | undefined> {
    if (!this.#deps.catalog.current().pools.has(pool)) return undefined;
    return (await this.#deps.views.decisions(pool)).toReversed();
  }

  async #poolReport(
    objects: Catalog,
    pool: PoolSpec,
  ): Promise<{ readonly report: PoolReport; readonly ledger: LedgerSnapshot | null }> {
    const { ledgerOf, views } = this.#deps;
    const ledger = await ledgerOf(pool.key)
      .snapshot()
      .catch(() => null);
    const status = views.status(pool.key);
    const replicas = status?.replicas ?? [];
    const endpoints = ledger?.endpoints ?? [];
    const report: PoolReport = {
      pool: pool.key,
      models: pool.models.flatMap(({ name, aliases }) => [name, ...aliases]),
      phase: status?.phase ?? 'Asleep',
      desiredReplicas: status?.desiredReplicas ?? 0,
      replicas,
      replicasByPhase: countByPhase(replicas),
      slots: {
        open: sum(endpoints.filter(({ gate }) => gate === 'open').map(({ slots }) => slots)),
        used: sum(endpoints.map(({ used, quarantined }) => used - quarantined)),
      },
      nextReadyMs: status?.nextReadyMs ?? null,
      lastDecision: status?.lastDecision ?? null,
      blockedWhy: status?.blockedWhy ?? null,
      objectives: this.#objectiveReports(objects.objectivesOf(pool.key), pool, ledger),
      usage: this.#usage(pool),
    };
    return { report, ledger };
  }

  /** Configured objectives, and those that only old work still names. */
  #objectiveReports(
    specs: readonly ObjectiveSpec[],
    pool: PoolSpec,
    ledger: LedgerSnapshot | null,
  ): readonly ObjectiveReport[] {
    const demands = new Map((ledger?.objectives ?? []).map((demand) => [demand.objective, demand]));
    const priorities = new Map(specs.map(({ name, priority }) => [name, priority]));
    const names = [...new Set([...priorities.keys(), ...demands.keys()])];
    return names
      .map((objective) => {
        const demand = demands.get(objective);
        return {
          objective,
          priority: priorities.get(objective) ?? demand?.priority ?? 0,
          waitingHeld: demand?.waitingHeld ?? 0,
          waitingStored: demand?.waitingStored ?? 0,
          running: demand?.running ?? 0,
          stored: demand?.stored ?? 0,
          bytes: demand?.bytes ?? 0,
          oldestWaitMs:
            ledger === null || demand === undefined || demand.oldestAtEpochMs === null
              ? null
              : Math.max(0, ledger.nowEpochMs - demand.oldestAtEpochMs),
          arrivedTotal: demand?.arrivedTotal ?? 0,
          outcomes: this.#deps.tally?.outcomes(pool.key, objective) ?? NO_OUTCOMES,
        };
      })
      .sort((a, b) => b.priority - a.priority || a.objective.localeCompare(b.objective));
  }

  #usage(pool: PoolSpec): GpuUsage {
    const use = this.#deps.views.gpuUse(pool.key);
    return {
      loadingGpuSeconds: use?.loadingGpuS ?? 0,
      idleGpuSeconds: use?.readyIdleGpuS ?? 0,
      busyGpuSeconds: use?.readyBusyGpuS ?? 0,
      alwaysOnGpuSeconds: use?.alwaysOnGpuS ?? 0,
      costUsd: use?.costUsd ?? 0,
      alwaysOnCostUsd: use?.alwaysOnCostUsd ?? 0,
    };
  }
}

function countByPhase(replicas: readonly Replica[]): Partial<Record<WarmUpPhase, number>> {
  const counts: Partial<Record<WarmUpPhase, number>> = {};
  for (const { phase } of replicas) counts[phase] = (counts[phase] ?? 0) + 1;
  return counts;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
