import type { EndpointUse, LedgerSnapshot, ObjectiveDemand } from '../../core/live-order.ts';
import type { ObjectiveSpec, ScaleTarget } from '../../core/objects.ts';
import { type ArrivalRate, newArrivalRate, observeArrivals } from './arrival-rate.ts';
import type { TargetReplica } from './target-replica.ts';
import {
  newWorkEstimate,
  observeSlotUse,
  observeWork,
  PRIOR_SLOT_USE_RATIO,
  type WorkEstimate,
} from './work-estimate.ts';

/** Slots of an endpoint with `Auto` of which none was seen at full size yet. */
const ASSUMED_SLOTS = 32;
/** A fresh endpoint opens its slots step by step for about this long, and its requests are faster than normal. */
const SLOW_START_MS = 60_000;

/** What a pool's loop remembers from one look to the next. Times are monotonic. */
export interface PoolMemory {
  readonly startedMs: number;
  readonly lookedMs: number;
  readonly objectives: ReadonlyMap<string, ObjectiveMemory>;
  readonly slotUseRatio: number;
  /** Slots of one endpoint past its slow start, by target: what `Auto` has learned. */
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
  readonly targets: readonly ScaleTarget[];
  /** A replica became ready since the last look. */
  readonly becameReady: boolean;
  /** The look before this one failed: what happened in between is not known. */
  readonly wasBlind: boolean;
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
  const busy = busyRatio(memory, seen);
  const isDemanded = ledger.objectives.some((demand) => counted(demand, seen) > 0);
  const released = ledger.objectives.reduce((sum, { releasedTotal }) => sum + releasedTotal, 0);
  return {
    startedMs: memory.startedMs,
    lookedMs: nowMs,
    objectives: observeObjectives(memory, seen, busy),
    slotUseRatio: observeSlotUse(memory.slotUseRatio, busy, nowMs - memory.lookedMs),
    slotsByTarget: observeSlots(memory.slotsByTarget, seen),
    lastActivityMs: isActive(memory, seen) ? nowMs : memory.lastActivityMs,
    lastDemandMs: isDemanded || seen.wasBlind ? nowMs : memory.lastDemandMs,
    releases: observeArrivals(memory.releases, released, nowMs),
  };
}

/** By its policy or by an operator. */
export function isPaused(demand: ObjectiveDemand, spec: ObjectiveSpec): boolean {
  return spec.paused || demand.paused === true;
}

/** Requests that somebody may wait for: of a paused objective only those that run. */
function counted(demand: ObjectiveDemand, seen: Observation): number {
  return isPaused(demand, seen.objectiveOf(demand.objective)) ? demand.running : outstanding(demand);
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

/**
 * How full a pool is: used slots of all open ones, from the ledger alone, so that no scrape can make a pool look full or
 * empty. 1 = saturated, also when no slot is open; more while limits that were cut are below what still runs.
 */
export function saturation(ledger: LedgerSnapshot): number {
  const open = ledger.endpoints.filter(({ gate, slots }) => gate === 'open' && slots > 0);
  const slots = open.reduce((sum, endpoint) => sum + endpoint.slots, 0);
  return slots === 0 ? 1 : open.reduce((sum, endpoint) => sum + endpoint.used, 0) / slots;
}

/** Slots of one endpoint of a target at its full size, whatever slow start opens now. */
export function fullSlots(memory: PoolMemory, target: ScaleTarget): number {
  if (target.slotsPerEndpoint !== 'Auto') return target.slotsPerEndpoint;
  return memory.slotsByTarget.get(target.name) ?? ASSUMED_SLOTS;
}

/** Used slots of all that the ready replicas have at full size, 0..1; a pool in its slow start is not busy. */
function busyRatio(memory: PoolMemory, seen: Observation): number {
  const sizes = new Map(seen.targets.map((target) => [target.name, fullSlots(memory, target)]));
  const ready = seen.replicas.filter(({ phase }) => phase === 'Ready');
  const slots = ready.reduce((sum, { target }) => sum + (sizes.get(target) ?? 0), 0);
  const used = ready.flatMap((replica) => endpointsOf(replica, seen.ledger)).reduce((sum, one) => sum + one.used, 0);
  return slots === 0 ? 0 : Math.min(1, used / slots);
}

/** Objectives that are configured are remembered also while the ledger knows nothing of them. */
function observeObjectives(memory: PoolMemory, seen: Observation, busy: number): PoolMemory['objectives'] {
  const configured = [...memory.objectives].filter(([name]) => seen.objectiveOf(name).name === name);
  const demanded = seen.ledger.objectives.map((demand): [string, ObjectiveMemory] => {
    const known = memory.objectives.get(demand.objective);
    return [
      demand.objective,
      {
        arrivals: observeArrivals(known?.arrivals ?? newArrivalRate(seen.nowMs), demand.arrivedTotal, seen.nowMs),
        work: observeWork(known?.work ?? newWorkEstimate, demand, busy),
        released: demand.releasedTotal,
      },
    ];
  });
  return new Map([...configured, ...demanded]);
}

function observeSlots(known: ReadonlyMap<string, number>, seen: Observation): ReadonlyMap<string, number> {
  const grown = seen.replicas.filter(
    ({ phase, readyAtEpochMs }) =>
      phase === 'Ready' && readyAtEpochMs !== null && seen.nowEpochMs - readyAtEpochMs >= SLOW_START_MS,
  );
  const sizes = new Map<string, number>();
  for (const replica of grown) {
    for (const { slots } of endpointsOf(replica, seen.ledger)) {
      sizes.set(replica.target, Math.max(sizes.get(replica.target) ?? 0, slots));
    }
  }
  const kept = [...known].filter(([name]) => seen.targets.some((target) => target.name === name));
  return new Map([...kept, ...[...sizes].filter(([, slots]) => slots > 0)]);
}

export function endpointsOf(replica: TargetReplica, ledger: LedgerSnapshot): readonly EndpointUse[] {
  return ledger.endpoints.filter(({ id }) => replica.endpointIds.includes(id));
}

/**
 * Activity that keeps the pool warm: demand, arrivals or completions of an objective that may extend it. A replica that
 * just became ready counts too, so that it is not ended before its work reaches it, unless only work waits that may not;
 * and so does time in which the ledger could not be asked.
 */
function isActive(memory: PoolMemory, seen: Observation): boolean {
  const mayExtend = (demand: ObjectiveDemand): boolean => seen.objectiveOf(demand.objective).mayExtendKeepWarm;
  const moved = (demand: ObjectiveDemand): boolean => {
    const known = memory.objectives.get(demand.objective);
    const isIn = demand.arrivedTotal > (known?.arrivals.lastTotal ?? demand.arrivedTotal);
    const hasArrivals = isIn && !isPaused(demand, seen.objectiveOf(demand.objective));
    const hasReleases = demand.releasedTotal > (known?.released ?? demand.releasedTotal);
    return counted(demand, seen) > 0 || hasArrivals || hasReleases;
  };
  if (seen.wasBlind || seen.ledger.objectives.some((demand) => mayExtend(demand) && moved(demand))) return true;
  const waiting = seen.ledger.objectives.filter((demand) => counted(demand, seen) > 0);
  return seen.becameReady && (waiting.length === 0 || waiting.some(mayExtend));
}
