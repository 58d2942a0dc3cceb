import { allowedBoots } from './breaker.ts';
import type { ReplicaView, Snapshot, TargetView } from './snapshot.ts';
import type { PodSupply } from './supply.ts';

/**
 * The pods of a pool in the order in which they are kept or added. "n pods" always means the first n of them, so the
 * rules only have to say how many.
 */
export interface PodOrder {
  /** Ready and booting replicas, the one to give up first last. */
  readonly live: readonly ReplicaView[];
  /** Marked to drain, but not yet told to end: the cheapest capacity there is. */
  readonly undrainable: readonly ReplicaView[];
  /** Targets of the replicas that could be ordered now, in order. */
  readonly orderable: readonly TargetView[];
  /** Supply of live, undrainable and orderable pods, in this order. */
  readonly supply: readonly PodSupply[];
}

export function podOrder(snapshot: Snapshot): PodOrder {
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const ofTarget = snapshot.replicas.filter(({ target }) => known.has(target));
  const live = keepOrder(ofTarget.filter(isLive), snapshot);
  const undrainable = snapshot.targets.flatMap((target) => undrainableOf(target, ofTarget));
  const orderable = orderableTargets(snapshot);
  const rateOf = (target: TargetView | undefined): number => (target?.slots ?? 0) * snapshot.slotUseRatio;
  const existing = [...live, ...undrainable].map((replica) => ({
    target: replica.target,
    rate: rateOf(known.get(replica.target)),
    availableInMs: replica.remaining?.p90Ms ?? 0,
  }));
  const added = orderable.map((target) => ({
    target: target.name,
    rate: rateOf(target),
    availableInMs: target.coldStart.p90Ms,
  }));
  return { live, undrainable, orderable, supply: [...existing, ...added] };
}

/** Ready or on its way there. */
export function isLive(replica: ReplicaView): boolean {
  return !replica.terminating && replica.phase !== 'Draining' && replica.phase !== 'Stuck';
}

export function isBooting(replica: ReplicaView): boolean {
  return isLive(replica) && replica.phase !== 'Ready';
}

export function isUndrainable(replica: ReplicaView): boolean {
  return replica.phase === 'Draining' && !replica.terminating;
}

/** As many as `maxReplicas` has room for; one that runs an older command is not taken back. */
function undrainableOf(
  { name, templateHash, maxReplicas }: TargetView,
  replicas: readonly ReplicaView[],
): ReplicaView[] {
  const own = replicas.filter(({ target }) => target === name);
  const room = Math.max(0, maxReplicas - own.filter(isLive).length);
  return own.filter((replica) => isUndrainable(replica) && replica.templateHash === templateHash).slice(0, room);
}

/** First those that `minReplicas` holds; last the victims: the youngest boot, then the emptiest of the last target. */
function keepOrder(live: readonly ReplicaView[], snapshot: Snapshot): readonly ReplicaView[] {
  const rank = new Map(snapshot.targets.map((target, index) => [target.name, index]));
  const hash = new Map(snapshot.targets.map((target) => [target.name, target.templateHash]));
  const bySurvival = [...live].sort(
    (a, b) =>
      Number(isBooting(a)) - Number(isBooting(b)) ||
      Number(a.templateHash !== hash.get(a.target)) - Number(b.templateHash !== hash.get(b.target)) ||
      (isBooting(a) ? b.sinceRequestedMs - a.sinceRequestedMs : 0) ||
      (rank.get(a.target) ?? 0) - (rank.get(b.target) ?? 0) ||
      b.usedSlots - a.usedSlots ||
      a.uid.localeCompare(b.uid),
  );
  const needed = new Map(snapshot.targets.map((target) => [target.name, target.minReplicas]));
  const isHeld = bySurvival.map((replica) => {
    const left = needed.get(replica.target) ?? 0;
    needed.set(replica.target, left - 1);
    return left > 0;
  });
  return [...bySurvival.filter((_, index) => isHeld[index]), ...bySurvival.filter((_, index) => !isHeld[index])];
}

/** What each target still has room for, its breaker allowing: first what its minimum lacks, then in order of use. */
function orderableTargets(snapshot: Snapshot): readonly TargetView[] {
  const missing: TargetView[] = [];
  const further: TargetView[] = [];
  for (const target of snapshot.targets) {
    const own = snapshot.replicas.filter((replica) => replica.target === target.name);
    const booting = own.filter((r) => isBooting(r) && r.templateHash === target.templateHash).length;
    // Those that end still hold their GPU, so they take room; they are not capacity.
    const room = target.maxReplicas - own.length;
    const count = Math.max(0, Math.min(room, allowedBoots(target.breaker, snapshot.nowMs) - booting));
    const live = own.filter((replica) => isLive(replica) || isUndrainable(replica)).length;
    const lacking = Math.min(count, Math.max(0, target.minReplicas - live));
    missing.push(...Array<TargetView>(lacking).fill(target));
    further.push(...Array<TargetView>(count - lacking).fill(target));
  }
  return [...missing, ...further];
}
