import type { ObjectiveDemand } from '../../core/live-order.ts';
import type { PoolSpec, ScaleTarget } from '../../core/objects.ts';
import { arrivalRates } from './arrival-rate.ts';
import type { TrackedBoots } from './boot-tracker.ts';
import { coldStart, remainingBoot } from './cold-start.ts';
import type { PeopleOrders } from './people-orders.ts';
import type { Observation, PoolMemory } from './pool-memory.ts';
import { endpointsOf, fullSlots, isPaused, queued, saturation, usedRatio } from './pool-memory.ts';
import type { DecisionHistory, ObjectiveView, ReplicaView, Snapshot, TargetView } from './snapshot.ts';
import type { TargetReplica } from './target-replica.ts';
import { breakerOf, type Templates } from './templates.ts';
import { newWorkEstimate, slotMsPerRequest } from './work-estimate.ts';

export interface SnapshotSources {
  readonly pool: PoolSpec;
  /** Targets that can be scaled, and how they are now. */
  readonly targets: readonly { readonly spec: ScaleTarget; readonly state: TargetNow }[];
  readonly seen: Observation;
  readonly memory: PoolMemory;
  readonly tracked: TrackedBoots;
  readonly templates: Templates;
  readonly history: DecisionHistory;
  readonly orders: PeopleOrders;
  readonly bypass: Snapshot['bypass'];
}

/** What a target's adapter tells of it, as far as a decision needs it. */
export type TargetNow = Pick<TargetView, 'templateHash' | 'noUpWhy' | 'noDownWhy' | 'rollsItself' | 'specReplicas'>;

/** Joins one look with what is remembered and learned into what `decide` sees. */
export function buildSnapshot(sources: SnapshotSources): Snapshot {
  const { pool, seen, memory } = sources;
  const targets = sources.targets.map(({ spec, state }) => targetView(spec, state, sources));
  return {
    pool: pool.key,
    nowMs: seen.nowMs,
    scale: pool.scale,
    targets: [...targets].sort(
      (a, b) => b.preference - a.preference || a.pricePerGpuHour - b.pricePerGpuHour || a.name.localeCompare(b.name),
    ),
    objectives: seen.ledger.objectives.map((demand) => objectiveView(demand, sources)),
    replicas: seen.replicas.map((replica) => replicaView(replica, sources)),
    slotUseRatio: memory.slotUseRatio,
    usedRatio: usedRatio(seen.ledger),
    saturationRatio: saturation(seen.ledger),
    idleMs: seen.nowMs - memory.lastActivityMs,
    noDemandMs: seen.nowMs - memory.lastDemandMs,
    history: sources.history,
    orders: sources.orders,
    bypass: sources.bypass,
  };
}

function targetView(spec: ScaleTarget, state: TargetNow, sources: SnapshotSources): TargetView {
  const { memory, templates, seen, pool } = sources;
  const { name, minReplicas, maxReplicas, pricePerGpuHour, gpusPerReplica, preference } = spec;
  const { templateHash, noUpWhy, noDownWhy, rollsItself, specReplicas } = state;
  return {
    name,
    minReplicas,
    maxReplicas,
    pricePerGpuHour,
    gpusPerReplica,
    preference,
    slots: fullSlots(memory, spec),
    templateHash,
    coldStart: coldStart(templates.boots.get(templateHash) ?? [], pool.scale.coldStartPriorMs, seen.nowEpochMs),
    breaker: breakerOf(templates, templateHash),
    noUpWhy,
    noDownWhy,
    rollsItself,
    specReplicas,
  };
}

function objectiveView(demand: ObjectiveDemand, { seen, memory, pool }: SnapshotSources): ObjectiveView {
  const spec = seen.objectiveOf(demand.objective);
  const known = memory.objectives.get(demand.objective);
  const rates = known === undefined ? { perS60: 0, perS300: 0 } : arrivalRates(known.arrivals, seen.nowMs);
  const { oldestAtEpochMs } = demand;
  const { nowEpochMs } = seen.ledger;
  const slotMsOf = (costTokens: number | null): number =>
    slotMsPerRequest(known?.work ?? newWorkEstimate, pool.scale.requestPriorMs, costTokens);
  const counted = demand.waitingHeld + demand.stored;
  return {
    name: demand.objective,
    priority: demand.priority,
    activation: spec.activation,
    isGuest: !spec.mayExtendKeepWarm,
    paused: isPaused(demand, spec),
    maxWaitMs: spec.maxWaitMs,
    queued: queued(demand),
    running: demand.running,
    oldestAgeMs: oldestAtEpochMs === null ? null : Math.max(0, nowEpochMs - oldestAtEpochMs),
    due: demand.deadlines.map(({ requests, costTokens, deadlineEpochMs, acceptedAtEpochMs }) => ({
      requests,
      slotMs: requests * slotMsOf(costTokens / Math.max(1, requests)),
      deadlineEpochMs,
      deadlineInMs: deadlineEpochMs - nowEpochMs,
      windowMs: Math.max(0, deadlineEpochMs - acceptedAtEpochMs),
    })),
    slotMsPerRequest: slotMsOf(null),
    slotMsPerQueued: slotMsOf(counted === 0 ? null : demand.costTokens / counted),
    ...rates,
  };
}

function replicaView(replica: TargetReplica, { seen, tracked: boots, templates, pool }: SnapshotSources): ReplicaView {
  const tracked = boots.get(replica.uid);
  const inPhaseMs = seen.nowMs - (tracked?.phaseSinceMs ?? seen.nowMs);
  const sinceRequestedMs = seen.nowMs - (tracked?.enteredMs.Requested ?? tracked?.phaseSinceMs ?? seen.nowMs);
  const endpoints = endpointsOf(replica, seen.ledger);
  const isBooting = !['Ready', 'Draining', 'Stuck'].includes(replica.phase);
  const past = templates.boots.get(replica.templateHash) ?? [];
  const { phase } = replica;
  return {
    uid: replica.uid,
    target: replica.target,
    templateHash: replica.templateHash,
    phase,
    inPhaseMs,
    sinceRequestedMs,
    terminating: replica.terminating,
    remaining: isBooting
      ? remainingBoot(past, pool.scale.coldStartPriorMs, seen.nowEpochMs, { phase, inPhaseMs, sinceRequestedMs })
      : null,
    usedSlots: endpoints.reduce((sum, { used }) => sum + used, 0),
    gate: endpoints[0]?.gate ?? null,
    trouble: replica.trouble,
    removalOrder: replica.removalOrder,
  };
}
