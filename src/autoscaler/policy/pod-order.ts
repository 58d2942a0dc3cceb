import { allowedBoots } from './breaker.ts';
import { heldFromFalling, isBlocked, isQuarantined, lacksCapacity, noOrderWhy } from './holds.ts';
import type { ReplicaView, Snapshot, TargetView } from './snapshot.ts';
import type { PodSupply } from './supply.ts';

/**
 * The pods of a pool in the order in which they are kept or added. "n pods" always means the first n of them, so the
 * rules only have to say how many.
 */
export interface PodOrder {
  /** Ready and booting replicas, the one to give up first last. */
  readonly live: readonly ReplicaView[];
  /** The live ones of which nobody knows when they will be ready, or stay so. They are no supply and stay as probes. */
  readonly blocked: readonly ReplicaView[];
  /** Ready and booting ones that no target allows: beyond its `maxReplicas`, or of a target that is gone. */
  readonly excess: readonly ReplicaView[];
  /** Marked to drain, but not yet told to end: the cheapest capacity there is. */
  readonly undrainable: readonly ReplicaView[];
  /** Targets of the replicas that could be ordered now, in order. */
  readonly orderable: readonly TargetView[];
  /** How many of them, the first ones, a target's `minReplicas` lacks. */
  readonly lacking: number;
  /** How many of the live ones `minReplicas` holds, or a target from which nothing may be taken away. */
  readonly held: number;
  /** A minimum is not met, and taking back or ordering a replica would help. */
  readonly isShort: boolean;
  /** Supply of live, undrainable and orderable pods, in this order. */
  readonly supply: readonly PodSupply[];
}

export function podOrder(snapshot: Snapshot): PodOrder {
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const fixed = heldFromFalling(snapshot.targets);
  const ordered = keepOrder(snapshot.replicas.filter(isLive), snapshot);
  const allowed = new Set(
    snapshot.targets.flatMap(({ name, maxReplicas }) =>
      fixed.has(name) ? ofTarget(ordered, name) : ofTarget(ordered, name).slice(0, maxReplicas),
    ),
  );
  const live = ordered.filter((replica) => allowed.has(replica));
  const blocked = live.filter((replica) => isBlocked(replica, known.get(replica.target)));
  const undrainable = snapshot.targets.flatMap((target) => undrainableOf(target, snapshot.replicas));
  const { lacking, further } = orderableTargets(snapshot);
  const orderable = [...lacking, ...further];
  const rateOf = (target: TargetView | undefined): number => (target?.slots ?? 0) * snapshot.slotUseRatio;
  const existing = [...live, ...undrainable].map((replica) => ({
    target: replica.target,
    rate: isQuarantined(replica) ? 0 : rateOf(known.get(replica.target)),
    availableInMs: blocked.includes(replica) ? Number.POSITIVE_INFINITY : (replica.remaining?.p90Ms ?? 0),
  }));
  const added = orderable.map((target) => ({
    target: target.name,
    rate: rateOf(target),
    availableInMs: target.coldStart.p90Ms,
  }));
  const liveOf = (name: string): number => ofTarget(live, name).length;
  const held = snapshot.targets.reduce(
    (sum, { name, minReplicas }) => sum + (fixed.has(name) ? liveOf(name) : Math.min(minReplicas, liveOf(name))),
    0,
  );
  const takesBack = undrainable.some(({ target }) => liveOf(target) < (known.get(target)?.minReplicas ?? 0));
  return {
    live,
    blocked,
    excess: ordered.filter((replica) => !allowed.has(replica)),
    undrainable,
    orderable,
    lacking: lacking.length,
    held,
    isShort: takesBack || lacking.length > 0,
    supply: [...existing, ...added],
  };
}

/** Ready, on its way there, or waiting for room. */
export function isLive({ terminating, phase, trouble }: ReplicaView): boolean {
  if (terminating || phase === 'Draining') return false;
  return phase !== 'Stuck' || lacksCapacity(trouble);
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

/** As many as `maxReplicas` has room for; one that runs an older command, or flaps, is not taken back. */
function undrainableOf(
  { name, templateHash, maxReplicas }: TargetView,
  replicas: readonly ReplicaView[],
): ReplicaView[] {
  const own = ofTarget(replicas, name);
  const room = Math.max(0, maxReplicas - own.filter(isLive).length);
  return own
    .filter((replica) => isUndrainable(replica) && replica.templateHash === templateHash && !flaps(replica))
    .sort(byRemoval)
    .slice(0, room);
}

function flaps({ trouble }: ReplicaView): boolean {
  return trouble?.kind === 'Flapping';
}

/** The one that its workload would remove last comes first. */
function byRemoval(a: ReplicaView, b: ReplicaView): number {
  return (a.removalOrder ?? 0) - (b.removalOrder ?? 0);
}

/**
 * First those that may not be taken away; last the victims: boots that wait for something nobody knows the end of, the
 * youngest boot, then the emptiest of the last target. A workload that removes its replicas in an order of its own (a
 * StatefulSet) gives up the highest one first, whatever its phase.
 */
function keepOrder(live: readonly ReplicaView[], snapshot: Snapshot): readonly ReplicaView[] {
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  const isWaiting = (replica: ReplicaView): number => Number(isBlocked(replica, known.get(replica.target)));
  const rank = new Map(snapshot.targets.map((target, index) => [target.name, index]));
  const hash = new Map(snapshot.targets.map((target) => [target.name, target.templateHash]));
  const bySurvival = [...live].sort(
    (a, b) =>
      Number(isBooting(a)) - Number(isBooting(b)) ||
      isWaiting(a) - isWaiting(b) ||
      Number(a.templateHash !== hash.get(a.target)) - Number(b.templateHash !== hash.get(b.target)) ||
      (isBooting(a) ? b.sinceRequestedMs - a.sinceRequestedMs : 0) ||
      (rank.get(a.target) ?? 0) - (rank.get(b.target) ?? 0) ||
      b.usedSlots - a.usedSlots ||
      a.uid.localeCompare(b.uid),
  );
  const inOrder = withRemovalOrder(bySurvival);
  const needed = new Map(
    snapshot.targets.map(({ name, minReplicas, noDownWhy }) => [
      name,
      noDownWhy === null ? minReplicas : Number.POSITIVE_INFINITY,
    ]),
  );
  const isHeld = inOrder.map((replica) => {
    const left = needed.get(replica.target) ?? 0;
    needed.set(replica.target, left - 1);
    return left > 0;
  });
  return [...inOrder.filter((_, index) => isHeld[index]), ...inOrder.filter((_, index) => !isHeld[index])];
}

/** The same places for each target, but those of an ordered workload are taken from its lowest replica on. */
function withRemovalOrder(replicas: readonly ReplicaView[]): readonly ReplicaView[] {
  const rising = new Map<string, ReplicaView[]>();
  for (const replica of replicas.filter(({ removalOrder }) => removalOrder !== null).sort(byRemoval)) {
    rising.set(replica.target, [...(rising.get(replica.target) ?? []), replica]);
  }
  return replicas.map((replica) =>
    replica.removalOrder === null ? replica : (rising.get(replica.target)?.shift() ?? replica),
  );
}

/** What each target still has room for, unless something holds it: first what its minimum lacks, then in order of use. */
function orderableTargets(snapshot: Snapshot): Record<'lacking' | 'further', readonly TargetView[]> {
  const lacking: TargetView[] = [];
  const further: TargetView[] = [];
  for (const target of snapshot.targets) {
    const own = ofTarget(snapshot.replicas, target.name);
    const booting = own.filter((r) => isBooting(r) && r.templateHash === target.templateHash).length;
    // Those that end still hold their GPU, so they take room; they are not capacity.
    const room = target.maxReplicas - own.length;
    const free = Math.max(0, Math.min(room, allowedBoots(target.breaker, snapshot.nowMs) - booting));
    const count = noOrderWhy(target, own) === null ? free : 0;
    const live = own.filter((replica) => isLive(replica) || isUndrainable(replica)).length;
    const needed = Math.min(count, Math.max(0, target.minReplicas - live));
    lacking.push(...Array<TargetView>(needed).fill(target));
    further.push(...Array<TargetView>(count - needed).fill(target));
  }
  return { lacking, further };
}
