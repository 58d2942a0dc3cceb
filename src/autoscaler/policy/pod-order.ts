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
  /** Ready and booting ones that no target allows: beyond its `maxReplicas`, or of a target that is gone. */
  readonly excess: readonly ReplicaView[];
  /** Marked to drain, but not yet told to end: the cheapest capacity there is. */
  readonly undrainable: readonly ReplicaView[];
  /** Targets of the replicas that could be ordered now, in order. */
  readonly orderable: readonly TargetView[];
  /** How many of them, the first ones, a target's `minReplicas` lacks. */
  readonly lacking: number;
  /** How many of the live ones `minReplicas` holds. */
  readonly held: number;
  /** A minimum is not met, and taking back or ordering a replica would help. */
  readonly isShort: boolean;
  /** Supply of live, undrainable and orderable pods, in this order. */
  readonly supply: readonly PodSupply[];
}

export function podOrder(snapshot: Snapshot): PodOrder {
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const ordered = keepOrder(snapshot.replicas.filter(isLive), snapshot);
  const allowed = new Set(
    snapshot.targets.flatMap(({ name, maxReplicas }) => ofTarget(ordered, name).slice(0, maxReplicas)),
  );
  const live = ordered.filter((replica) => allowed.has(replica));
  const undrainable = snapshot.targets.flatMap((target) => undrainableOf(target, snapshot.replicas));
  const { lacking, further } = orderableTargets(snapshot);
  const orderable = [...lacking, ...further];
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
  const liveOf = (name: string): number => ofTarget(live, name).length;
  const held = snapshot.targets.reduce((sum, { name, minReplicas }) => sum + Math.min(minReplicas, liveOf(name)), 0);
  const takesBack = undrainable.some(({ target }) => liveOf(target) < (known.get(target)?.minReplicas ?? 0));
  return {
    live,
    excess: ordered.filter((replica) => !allowed.has(replica)),
    undrainable,
    orderable,
    lacking: lacking.length,
    held,
    isShort: takesBack || lacking.length > 0,
    supply: [...existing, ...added],
  };
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

function ofTarget(replicas: readonly ReplicaView[], name: string): readonly ReplicaView[] {
  return replicas.filter(({ target }) => target === name);
}

/** As many as `maxReplicas` has room for; one that runs an older command is not taken back. */
function undrainableOf(
  { name, templateHash, maxReplicas }: TargetView,
  replicas: readonly ReplicaView[],
): ReplicaView[] {
  const own = ofTarget(replicas, name);
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
function orderableTargets(snapshot: Snapshot): Record<'lacking' | 'further', readonly TargetView[]> {
  const lacking: TargetView[] = [];
  const further: TargetView[] = [];
  for (const target of snapshot.targets) {
    const own = ofTarget(snapshot.replicas, target.name);
    const booting = own.filter((r) => isBooting(r) && r.templateHash === target.templateHash).length;
    // Those that end still hold their GPU, so they take room; they are not capacity.
    const room = target.maxReplicas - own.length;
    const count = Math.max(0, Math.min(room, allowedBoots(target.breaker, snapshot.nowMs) - booting));
    const live = own.filter((replica) => isLive(replica) || isUndrainable(replica)).length;
    const needed = Math.min(count, Math.max(0, target.minReplicas - live));
    lacking.push(...Array<TargetView>(needed).fill(target));
    further.push(...Array<TargetView>(count - needed).fill(target));
  }
  return { lacking, further };
}
