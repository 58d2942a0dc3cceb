import type { Decision } from './decision.ts';
import { heldFromFalling, lacksCapacity } from './holds.ts';
import { isLive, isUndrainable, podOrder } from './pod-order.ts';
import { hasDemand, isPaused, type ReplicaView, type Snapshot } from './snapshot.ts';

/** What has to be done to get from what is to what was decided. */
export interface Plan {
  readonly undrain: readonly string[];
  readonly start: ReadonlyMap<string, number>;
  readonly drain: readonly string[];
  readonly stop: readonly string[];
}

/**
 * Level-triggered: computed from the replicas as they are now, so a step that failed is simply planned again.
 * A drained replica ends once the ledger, with the gate shut, shows no used slot, or after `drainTimeoutMs`. Nothing is
 * taken from a target that may not go down: what was marked there before waits.
 */
export function plan(decision: Decision, snapshot: Snapshot): Plan {
  if (isPaused(snapshot)) return { undrain: [], start: new Map(), drain: [], stop: [] };
  const { live, excess, undrainable } = podOrder(snapshot);
  const fixed = heldFromFalling(snapshot.targets);
  const mayGo = ({ target }: ReplicaView): boolean => !fixed.has(target);
  const undrain: string[] = [];
  const start = new Map<string, number>();
  const victims: ReplicaView[] = [];
  for (const target of snapshot.targets) {
    const own = live.filter((replica) => replica.target === target.name && !decision.abandon.includes(replica.uid));
    const desired = decision.toZero ? own.length : (decision.desired[target.name] ?? 0);
    victims.push(...own.slice(desired).filter(mayGo));
    const back = undrainable
      .filter((replica) => replica.target === target.name)
      .slice(0, Math.max(0, desired - own.length));
    undrain.push(...back.map(({ uid }) => uid));
    const missing = desired - own.length - back.length;
    if (missing > 0) start.set(target.name, missing);
  }
  victims.push(...excess);
  const isStill = victims.length + start.size + undrain.length === 0 && decision.rule !== 'drained';
  if (isStill) victims.push(...outdated(snapshot).filter(mayGo));
  const ending = snapshot.replicas
    .filter(mayGo)
    .filter((replica) => !undrain.includes(replica.uid) && isSpent(replica, snapshot));
  const abandoned = snapshot.replicas.filter(({ uid }) => decision.abandon.includes(uid)).filter(mayGo);
  const boots = victims.filter(({ phase }) => phase !== 'Ready');
  return {
    undrain,
    start,
    drain: uids(victims.filter(({ phase }) => phase === 'Ready')),
    stop: [...new Set(uids([...abandoned, ...boots, ...ending]))],
  };
}

/**
 * One replica that runs an older command, when nothing needs it: the next one starts with the new command. A workload
 * that rolls itself needs no help.
 */
function outdated(snapshot: Snapshot): readonly ReplicaView[] {
  if (hasDemand(snapshot) || snapshot.replicas.some(isUndrainable)) return [];
  const ours = snapshot.targets.filter(({ rollsItself }) => !rollsItself);
  const current = new Map(ours.map(({ name, templateHash }) => [name, templateHash]));
  const old = snapshot.replicas.filter(
    (replica) => isLive(replica) && current.has(replica.target) && current.get(replica.target) !== replica.templateHash,
  );
  return old.slice(0, 1);
}

function isSpent(replica: ReplicaView, snapshot: Snapshot): boolean {
  if (replica.terminating) return false;
  if (replica.phase === 'Stuck') return !lacksCapacity(replica.trouble);
  if (!isUndrainable(replica)) return false;
  const isEmpty = replica.usedSlots === 0 && replica.gate !== 'open';
  return isEmpty || replica.inPhaseMs >= snapshot.scale.drainTimeoutMs;
}

function uids(replicas: readonly ReplicaView[]): readonly string[] {
  return replicas.map(({ uid }) => uid);
}
