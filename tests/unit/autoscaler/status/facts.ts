import type { PolicyFacts, PoolFacts, TargetFacts } from '../../../../src/autoscaler/policy/policy-facts.ts';
import { NO_ORDER } from '../../../../src/core/pool-orders.ts';
import type { BootTroubleKind, PoolStatus, Replica, WarmUpPhase } from '../../../../src/core/replicas.ts';

export const NOW = Date.UTC(2026, 0, 31, 12);
const POOL = 'default/llama';

export function replica(phase: WarmUpPhase, over: Partial<Replica> = {}): Replica {
  return {
    ...{ uid: 'a', pool: POOL, target: 'gpu', phase, requestedAtEpochMs: NOW, phaseSinceEpochMs: NOW },
    ...{ readyAtEpochMs: null, endpointIds: [], message: null, restarts: 0, trouble: null },
    ...over,
  };
}

export function troubled(kind: BootTroubleKind, over: Partial<NonNullable<Replica['trouble']>> = {}): Replica {
  const trouble = { kind, message: `says ${kind}; mend it`, permanent: false, blocksOrders: false, ...over };
  return replica('Stuck', { trouble });
}

export function poolStatusFacts(over: Partial<PoolStatus> = {}): PoolStatus {
  return {
    ...{ pool: POOL, phase: 'Ready', desiredReplicas: 1, replicas: [replica('Ready')], nextReadyMs: null },
    ...{ lastDecision: null, blockedWhy: null },
    ...over,
  };
}

export function targetFacts(over: Partial<TargetFacts> = {}): TargetFacts {
  return {
    ...{ name: 'gpu', readyReplicas: 1, bootingReplicas: 0, breaker: null, heldWhy: null },
    state: { specReplicas: 1, templateHash: 'abc', conditions: [] },
    ...over,
  };
}

export function poolFacts(over: Partial<PoolFacts> = {}): PoolFacts {
  return {
    status: poolStatusFacts(),
    demand: { queued: 0, running: 0, oldestQueuedAtEpochMs: null },
    decision: { atEpochMs: NOW, rule: 'steady', sentence: 'one is enough', wouldChange: ['more work'] },
    order: NO_ORDER,
    targets: [targetFacts()],
    ...over,
  };
}

/** A policy of which everything is well. */
export function policyFacts(over: Partial<PolicyFacts> = {}): PolicyFacts {
  return {
    generation: 3,
    accepted: { status: true, reason: 'Accepted', message: 'The spec holds.' },
    resolvedRefs: { status: true, reason: 'ResolvedRefs', message: 'Everything that it names exists.' },
    ...{ observes: false, pool: poolFacts(), redisWhy: null, missingRights: [], remarks: [] },
    feeds: [{ resource: 'pods', freshness: { state: 'live', heardAtEpochMs: NOW, why: null } }],
    ...over,
  };
}
