import { Gauge, type Registry } from 'prom-client';
import type { LedgerSnapshot } from '../../core/live-order.ts';
import type { ObjectiveSpec, PoolKey } from '../../core/objects.ts';

/** One pool as a scrape sees it. */
export interface MeasuredPool {
  readonly pool: PoolKey;
  /** Its budget over all objectives. */
  readonly maxRequests: number;
  readonly maxBytes: number;
  /** What each objective may have queued or stored of it; without a limit that is known, undefined. */
  readonly limitsOf: (objective: string) => Pick<ObjectiveSpec, 'maxStoredRequests' | 'maxStoredBytes'> | undefined;
  /** Rejects when the ledger does not answer. */
  readonly snapshot: () => Promise<LedgerSnapshot>;
}

/**
 * Depth, age and budget of every pool's order, read from the ledger at each scrape. While the ledger does not answer
 * the series of that pool are absent: a queue that cannot be read must not look empty.
 */
export function liveOrderMetrics(registry: Registry, pools: () => readonly MeasuredPool[]): void {
  let reading: Promise<void> | null = null;
  // The registry asks all gauges of a scrape at once; they share one reading of the ledgers.
  const gauges = liveOrderGauges(registry, () => {
    reading ??= readAll(gauges, pools()).finally(() => {
      reading = null;
    });
    return reading;
  });
}

type LiveOrderGauges = ReturnType<typeof liveOrderGauges>;

async function readAll(gauges: LiveOrderGauges, pools: readonly MeasuredPool[]): Promise<void> {
  for (const gauge of Object.values(gauges)) gauge.reset();
  await Promise.all(pools.map((pool) => read(gauges, pool)));
}

function liveOrderGauges(registry: Registry, collect: () => Promise<void>) {
  const gauge = <L extends string>(name: string, labelNames: readonly L[], help: string) =>
    new Gauge({ name, labelNames, help, registers: [registry], collect });
  const perObjective = ['pool', 'objective', 'priority'] as const;
  return {
    reachable: gauge('pilotlight_queue_ledger_reachable', ['pool'], '1 when the ledger answered this scrape, else 0.'),
    waiting: gauge(
      'pilotlight_queue_waiting_requests',
      [...perObjective, 'kind'],
      'Tickets that wait in the live order, held calls and stored work.',
    ),
    running: gauge('pilotlight_queue_running_requests', perObjective, 'Tickets that hold a slot.'),
    stored: gauge(
      'pilotlight_queue_stored_requests',
      perObjective,
      'Accepted stored requests without an outcome, those in the live order included.',
    ),
    bytes: gauge('pilotlight_queue_bytes', perObjective, 'Bytes of everything queued or stored.'),
    oldest: gauge('pilotlight_queue_oldest_seconds', perObjective, 'Age of the oldest request that waits; 0 = none.'),
    slots: gauge('pilotlight_queue_slots', ['pool', 'state'], 'Slots of open endpoints: open, used, quarantined.'),
    budget: gauge(
      'pilotlight_queue_budget_used_ratio',
      ['pool', 'budget'],
      'Share of the pool budget (requests, bytes) that is used; objectives are shed at their shedAtPercent of it.',
    ),
    objectiveBudget: gauge(
      'pilotlight_queue_objective_budget_used_ratio',
      [...perObjective, 'budget'],
      'Share of the budget of an objective (requests, bytes) that is used; at 1 more get 429 queue_full.',
    ),
    paused: gauge(
      'pilotlight_queue_paused',
      perObjective,
      '1 while an objective is paused, by its policy or by an operator: what waits of it gets no slot.',
    ),
  };
}

async function read(gauges: LiveOrderGauges, measured: MeasuredPool): Promise<void> {
  const { pool, maxRequests, maxBytes, limitsOf, snapshot } = measured;
  let ledger: LedgerSnapshot;
  try {
    ledger = await snapshot();
  } catch {
    gauges.reachable.set({ pool }, 0);
    return;
  }
  gauges.reachable.set({ pool }, 1);
  let requests = 0;
  let bytes = 0;
  for (const demand of ledger.objectives) {
    const labels = { pool, objective: demand.objective, priority: demand.priority };
    gauges.waiting.set({ ...labels, kind: 'held' }, demand.waitingHeld);
    gauges.waiting.set({ ...labels, kind: 'stored' }, demand.waitingStored);
    gauges.running.set(labels, demand.running);
    gauges.stored.set(labels, demand.stored);
    gauges.bytes.set(labels, demand.bytes);
    const { oldestAtEpochMs } = demand;
    gauges.oldest.set(labels, oldestAtEpochMs === null ? 0 : Math.max(0, ledger.nowEpochMs - oldestAtEpochMs) / 1_000);
    gauges.paused.set(labels, demand.paused === true ? 1 : 0);
    const own = demand.waitingHeld + demand.stored;
    const limits = limitsOf(demand.objective);
    if (limits) {
      gauges.objectiveBudget.set({ ...labels, budget: 'requests' }, own / limits.maxStoredRequests);
      gauges.objectiveBudget.set({ ...labels, budget: 'bytes' }, demand.bytes / limits.maxStoredBytes);
    }
    requests += own;
    bytes += demand.bytes;
  }
  const open = ledger.endpoints.filter(({ gate }) => gate === 'open');
  gauges.slots.set({ pool, state: 'open' }, sum(open.map(({ slots }) => slots)));
  gauges.slots.set({ pool, state: 'used' }, sum(ledger.endpoints.map(({ used, quarantined }) => used - quarantined)));
  gauges.slots.set({ pool, state: 'quarantined' }, sum(ledger.endpoints.map(({ quarantined }) => quarantined)));
  gauges.budget.set({ pool, budget: 'requests' }, requests / maxRequests);
  gauges.budget.set({ pool, budget: 'bytes' }, bytes / maxBytes);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
