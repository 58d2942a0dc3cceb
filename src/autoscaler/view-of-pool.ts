import type { PoolSpec } from '../core/objects.ts';
import type { PoolOrder } from '../core/pool-orders.ts';
import type { PoolStatus, Replica } from '../core/replicas.ts';
import type { DecisionRecord } from './decision-log.ts';
import type { GpuUse } from './gpu-meter.ts';
import { isOpen } from './policy/breaker.ts';
import { heldWhy, lacksCapacity } from './policy/holds.ts';
import { orderSentences, type PeopleOrders } from './policy/people-orders.ts';
import type { Snapshot, TargetView } from './policy/snapshot.ts';
import type { WaitAdvice } from './policy/wait-advice.ts';
import type { BreakerView, DecisionView, DemandView, PoolView, TargetReport } from './pool-view.ts';
import type { TargetState } from './ports.ts';

export interface ViewSources {
  readonly atEpochMs: number;
  /** Monotonic. */
  readonly nowMs: number;
  readonly pool: PoolSpec;
  readonly status: PoolStatus;
  readonly advice: WaitAdvice | null;
  /** Undefined before the first look. */
  readonly last: DecisionRecord | undefined;
  readonly lastStep: DecisionRecord | undefined;
  readonly gpuUse: GpuUse;
  /** By target; those that can be scaled here. */
  readonly states: Readonly<Record<string, TargetState>>;
  readonly order: PoolOrder;
  readonly orders: PeopleOrders;
}

/** Joins what is known of a pool for those who show it. */
export function poolView(sources: ViewSources): PoolView {
  const { atEpochMs, status, advice, last, lastStep, gpuUse, pool, order, orders } = sources;
  return {
    atEpochMs,
    status,
    advice,
    decision: last === undefined ? null : decisionView(last),
    lastStep: lastStep === undefined ? null : decisionView(lastStep),
    demand: last === undefined ? null : demandView(last),
    gpuUse,
    targets: pool.targets.map(({ name }) => targetReport(name, sources)),
    order,
    orders: orderSentences(orders),
    bypassTraffic: status.bypassTraffic ?? null,
    saturationRatio: status.saturationRatio ?? null,
    frozen: status.frozen ?? null,
  };
}

function decisionView({ decision, lastAtEpochMs, acted }: DecisionRecord): DecisionView {
  return { ...decision, atEpochMs: lastAtEpochMs, acted };
}

function demandView({ snapshot, lastAtEpochMs }: DecisionRecord): DemandView {
  const sum = (of: (objective: Snapshot['objectives'][number]) => number): number =>
    snapshot.objectives.reduce((total, objective) => total + of(objective), 0);
  const ages = snapshot.objectives.flatMap(({ oldestAgeMs }) => (oldestAgeMs === null ? [] : [oldestAgeMs]));
  return {
    queued: sum(({ queued }) => queued),
    running: sum(({ running }) => running),
    oldestQueuedAtEpochMs: ages.length === 0 ? null : lastAtEpochMs - Math.max(...ages),
  };
}

function targetReport(name: string, { states, status, last, nowMs }: ViewSources): TargetReport {
  const state = states[name] ?? null;
  const seen = last?.snapshot.targets.find((target) => target.name === name);
  const own = status.replicas.filter((replica) => replica.target === name);
  return {
    name,
    supported: state !== null,
    state,
    readyReplicas: own.filter(({ phase }) => phase === 'Ready').length,
    bootingReplicas: own.filter(boots).length,
    breaker: state === null || seen === undefined ? null : breakerView(seen, nowMs),
    coldStart: state === null || seen === undefined ? null : seen.coldStart,
    heldWhy:
      state === null || seen === undefined ? null : heldWhy({ ...seen, ...state }, last?.snapshot.replicas ?? []),
  };
}

function boots({ phase, trouble }: Replica): boolean {
  if (phase === 'Stuck') return lacksCapacity(trouble);
  return phase !== 'Ready' && phase !== 'Draining';
}

function breakerView({ breaker }: TargetView, nowMs: number): BreakerView {
  const { failures, message, retryAtMs } = breaker;
  const retryInMs = retryAtMs === null ? null : Math.max(0, retryAtMs - nowMs);
  return { failures, message, isOpen: isOpen(breaker), retryInMs };
}
