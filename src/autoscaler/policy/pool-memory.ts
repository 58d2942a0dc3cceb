import type { LedgerSnapshot, ObjectiveDemand } from '../../core/live-order.ts';
import type { ObjectiveSpec } from '../../core/objects.ts';
import { type ArrivalRate, newArrivalRate, observeArrivals } from './arrival-rate.ts';
import type { TargetReplica } from './target-replica.ts';
import {
  newWorkEstimate,
  observeSlotUse,
  observeWork,
  PRIOR_SLOT_USE_RATIO,
  type WorkEstimate,
} from './work-estimate.ts';

/** What a pool's loop remembers from one look to the next. Times are monotonic. */
export interface PoolMemory {
  readonly startedMs: number;
  readonly lookedMs: number;
  readonly objectives: ReadonlyMap<string, ObjectiveMemory>;
  readonly slotUseRatio: number;
  /** Most slots seen on one endpoint of each target: what `Auto` has learned. */
  readonly slotsByTarget: ReadonlyMap<string, number>;
  readonly lastActivityMs: number;
  readonly lastDemandMs: number;
  /** Released slots of the whole pool, as a rate. */
  readonly releases: ArrivalRate;
}

export interface ObjectiveMemory {
  readonly arrivals: ArrivalRate;
  readonly work: WorkEstimate;
  /** Null until first seen. */
  readonly released: number | null;
}

/** One look at the world. */
export interface Observation {
  readonly nowMs: number;
  readonly nowEpochMs: number;
  readonly ledger: LedgerSnapshot;
  readonly replicas: readonly TargetReplica[];
  /** A replica became ready since the last look. */
  readonly becameReady: boolean;
  objectiveOf(name: string): ObjectiveSpec;
}

export function newPoolMemory(nowMs: number): PoolMemory {
  return {
    startedMs: nowMs,
    lookedMs: nowMs,
    objectives: new Map(),
    slotUseRatio: PRIOR_SLOT_USE_RATIO,
    slotsByTarget: new Map(),
    lastActivityMs: nowMs,
    lastDemandMs: nowMs,
    releases: newArrivalRate(nowMs),
  };
}

/** The memory after this look. */
export function observe(memory: PoolMemory, seen: Observation): PoolMemory {
  const { nowMs, ledger } = seen;
  const used = usedRatio(ledger);
  const isDemanded = ledger.objectives.some((demand) => outstanding(demand) > 0);
  const released = ledger.objectives.reduce((sum, { releasedTotal }) => sum + releasedTotal, 0);
  return {
    startedMs: memory.startedMs,
    lookedMs: nowMs,
    objectives: new Map(
      ledger.objectives.map((demand) => [
        demand.objective,
        observeObjective(memory.objectives.get(demand.objective), demand, used, nowMs),
      ]),
    ),
    slotUseRatio: observeSlotUse(memory.slotUseRatio, used, nowMs - memory.lookedMs),
    slotsByTarget: observeSlots(memory.slotsByTarget, seen),
    lastActivityMs: isActive(memory, seen) ? nowMs : memory.lastActivityMs,
    lastDemandMs: isDemanded ? nowMs : memory.lastDemandMs,
    releases: observeArrivals(memory.releases, released, nowMs),
  };
}

/** Requests of an objective without an outcome. Running stored ones are in both `stored` and `running`. */
function outstanding(demand: ObjectiveDemand): number {
  return queued(demand) + demand.running;
}

/** Accepted and not running: the ledger does not say which of the running are stored ones, so all of them may be. */
export function queued(demand: ObjectiveDemand): number {
  return demand.waitingHeld + Math.max(demand.waitingStored, demand.stored - demand.running, 0);
}

/** Used slots of all slots that are open; 0 when none is. */
export function usedRatio(ledger: LedgerSnapshot): number {
  const open = ledger.endpoints.filter(({ gate }) => gate === 'open');
  const slots = open.reduce((sum, endpoint) => sum + endpoint.slots, 0);
  return slots === 0 ? 0 : Math.min(1, open.reduce((sum, endpoint) => sum + endpoint.used, 0) / slots);
}

function observeObjective(
  known: ObjectiveMemory | undefined,
  demand: ObjectiveDemand,
  used: number,
  nowMs: number,
): ObjectiveMemory {
  return {
    arrivals: observeArrivals(known?.arrivals ?? newArrivalRate(nowMs), demand.arrivedTotal, nowMs),
    work: observeWork(known?.work ?? newWorkEstimate, demand, used),
    released: demand.releasedTotal,
  };
}

function observeSlots(known: ReadonlyMap<string, number>, seen: Observation): ReadonlyMap<string, number> {
  const next = new Map(known);
  for (const replica of seen.replicas) {
    for (const endpoint of seen.ledger.endpoints.filter(({ id }) => replica.endpointIds.includes(id))) {
      next.set(replica.target, Math.max(next.get(replica.target) ?? 0, endpoint.slots));
    }
  }
  return next;
}

/**
 * Activity that keeps the pool warm: demand, arrivals or completions of an objective that may extend it. A replica that
 * just became ready counts too, so that it is not ended before its work reaches it, unless only work waits that may not.
 */
function isActive(memory: PoolMemory, seen: Observation): boolean {
  const mayExtend = (demand: ObjectiveDemand): boolean => seen.objectiveOf(demand.objective).mayExtendKeepWarm;
  const moved = (demand: ObjectiveDemand): boolean => {
    const known = memory.objectives.get(demand.objective);
    const hasArrivals = demand.arrivedTotal > (known?.arrivals.lastTotal ?? demand.arrivedTotal);
    const hasReleases = demand.releasedTotal > (known?.released ?? demand.releasedTotal);
    return outstanding(demand) > 0 || hasArrivals || hasReleases;
  };
  if (seen.ledger.objectives.some((demand) => mayExtend(demand) && moved(demand))) return true;
  const waiting = seen.ledger.objectives.filter((demand) => outstanding(demand) > 0);
  return seen.becameReady && (waiting.length === 0 || waiting.some(mayExtend));
}
