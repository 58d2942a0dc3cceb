import type { BootTrouble } from '../../../core/replicas.ts';
import type { WorkloadView } from '../../policy/kube/workload.ts';
import { MAX_FIGHTS, remedyFor, type WriterMemory } from '../../policy/kube/writers.ts';
import { rfc3339 } from '../../policy/policy-conditions.ts';
import type { TargetCondition, TargetState } from '../../ports.ts';

/** Everything that decides what may be done with one target. */
export interface TargetFacts {
  /** "Deployment llama" */
  readonly workload: string;
  readonly view: WorkloadView | null;
  /** Why it cannot be found; null = it was, or was not asked for yet. */
  readonly missing: string | null;
  readonly error: string | null;
  /** What keeps missing pods from being created; null = nothing is known. */
  readonly createFailure: string | null;
  readonly writers: WriterMemory;
  /** What else scales it; null = nothing. */
  readonly otherScaler: string | null;
  /** An older pool that has the same workload; null = none. */
  readonly takenBy: string | null;
  /** Pods of the pool that other pools select too, in one sentence. */
  readonly sharedPods: string | null;
  /** Rights that are missing; and whether the patch of its /scale is one of them. */
  readonly denied: string | null;
  readonly scaleDenied: boolean;
  readonly troubles: readonly BootTrouble[];
}

/** What may be done with a target now, and everything people must see of it. */
export function targetState(facts: TargetFacts): TargetState {
  const { view } = facts;
  const owned = ownership(facts);
  const resolved = resolvedRefs(facts);
  const capacity = capacityAvailable(facts);
  const permitted = permission(facts);
  const never = [resolved, permitted, owned].find(({ status, holds }) => !status && holds)?.message ?? null;
  const notRead = view === null && never === null ? `${facts.workload} was not read yet${because(facts.error)}` : null;
  const failure = facts.createFailure === null ? null : capacity.message;
  return {
    templateHash: view?.templateHash ?? 'unknown',
    noUpWhy: never ?? notRead ?? failure,
    noDownWhy: never ?? notRead ?? view?.rolling ?? null,
    rollsItself: view?.rollsItself ?? true,
    specReplicas: view?.replicas ?? null,
    conditions: [resolved, permitted, owned, capacity].map(({ holds: _, ...condition }) => condition),
  };
}

/** A condition, and whether nothing may be changed while it is False. */
type Fact = TargetCondition & { readonly holds: boolean };

function fact(
  type: TargetCondition['type'],
  reason: string,
  message: string,
  { status = false, holds = !status }: { status?: boolean; holds?: boolean } = {},
): Fact {
  return { type, status, reason, message, holds };
}

function resolvedRefs({ missing, view, workload }: TargetFacts): Fact {
  if (missing !== null) return fact('ResolvedRefs', 'TargetNotFound', missing);
  if (view?.terminating === true) return fact('ResolvedRefs', 'TargetDeleted', `${workload} is being deleted`);
  return fact('ResolvedRefs', 'Resolved', `${workload} is there`, { status: true });
}

function permission({ denied, scaleDenied }: TargetFacts): Fact {
  if (denied === null) return fact('Permitted', 'Permitted', 'every right is there', { status: true });
  return fact('Permitted', 'Forbidden', denied, { holds: scaleDenied });
}

function ownership(facts: TargetFacts): Fact {
  const { takenBy, otherScaler, sharedPods, workload, writers } = facts;
  if (takenBy !== null) {
    const remedy = 'give one of the pools another target';
    return fact('ReplicasOwned', 'TargetTaken', `${workload} is already scaled for pool ${takenBy}; ${remedy}`);
  }
  if (otherScaler !== null) return fact('ReplicasOwned', 'OtherAutoscaler', otherScaler);
  const { hold, fight } = writers;
  if (hold?.reason === 'ManualScale') {
    const until = hold.untilEpochMs === null ? '' : ` until ${rfc3339(hold.untilEpochMs)}`;
    const said = `${hold.manager} set ${workload} to ${hold.replicas}; that is respected${until}`;
    return fact('ReplicasOwned', 'ManualScale', `${said}. Use "pilotlight wake" or "pause" to keep it longer`);
  }
  if (hold?.reason === 'ForeignWriter') {
    const said = `${hold.manager} set ${workload} back to ${hold.replicas} again and again, so Pilotlight yields`;
    return fact('ReplicasOwned', 'ForeignWriter', `${said}: ${remedyFor(hold.manager)}; then change the policy`);
  }
  if (fight !== null && writers.replicas !== null) {
    const left = MAX_FIGHTS - fight.times;
    const said = `${fight.manager} reverted the replicas of ${workload} (${fight.times} times)`;
    const then = left > 0 ? `after ${left} more Pilotlight yields` : 'after the next time Pilotlight yields';
    return fact('ReplicasOwned', 'Reverted', `${said}; ${then}: ${remedyFor(fight.manager)}`, { holds: false });
  }
  if (sharedPods !== null) return fact('ReplicasOwned', 'SharedPods', sharedPods, { holds: false });
  return fact('ReplicasOwned', 'Owned', `nothing else scales ${workload}`, { status: true });
}

function capacityAvailable({ createFailure: failure, troubles, workload }: TargetFacts): Fact {
  if (failure !== null) {
    const remedy = 'raise the ResourceQuota or free what uses it, or correct what the admission refuses';
    const reason = /quota/i.test(failure) ? 'QuotaExceeded' : 'PodsRefused';
    return fact('CapacityAvailable', reason, `pods of ${workload} cannot be created: ${failure}; ${remedy}`);
  }
  const worst = troubles.find(({ blocksOrders }) => blocksOrders) ?? troubles.find(({ permanent }) => permanent);
  if (worst !== undefined) return fact('CapacityAvailable', worst.kind, worst.message, { holds: false });
  return fact('CapacityAvailable', 'Available', 'no boot is known to be blocked', { status: true });
}

function because(error: string | null): string {
  return error === null ? '' : `: ${error}`;
}
