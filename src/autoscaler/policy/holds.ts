import type { BootTrouble, BootTroubleKind } from '../../core/replicas.ts';
import { isOpen } from './breaker.ts';
import type { ReplicaView, Snapshot, TargetView } from './snapshot.ts';

/** Nothing is wrong with what the replica runs: the cluster has no place for it now. */
const CAPACITY_TROUBLES: readonly BootTroubleKind[] = [
  'Unschedulable',
  'SchedulingGated',
  'WaitingForGpu',
  'QuotaExceeded',
];
const LONGEST_WHY_CHARS = 300;

/** A replica that waits for room is no failed boot: it is not ended, not replaced and not counted by the breaker. */
export function lacksCapacity(trouble: BootTrouble | null): boolean {
  return trouble !== null && !trouble.permanent && CAPACITY_TROUBLES.includes(trouble.kind);
}

/** Loses its readiness again and again: it serves while it is ready, but nothing is planned with it. */
export function isQuarantined({ trouble, phase, terminating }: ReplicaView): boolean {
  return trouble?.kind === 'Flapping' && phase !== 'Draining' && phase !== 'Stuck' && !terminating;
}

/**
 * True for a boot of which nobody knows when it ends, and for a replica in quarantine: it is no supply, and stays as the
 * probe that tells when the trouble is over. A GPU that a terminating pod still holds comes free by itself: it is waited for as long as another
 * boot would take, and only then counts as trouble.
 */
export function isBlocked(replica: ReplicaView, target: TargetView | undefined): boolean {
  const { trouble, phase, terminating } = replica;
  if (isQuarantined(replica)) return true;
  if (trouble === null || terminating || phase === 'Ready' || phase === 'Draining') return false;
  if (phase === 'Stuck') return lacksCapacity(trouble);
  if (trouble.kind === 'WaitingForGpu') return replica.sinceRequestedMs >= (target?.coldStart.p50Ms ?? 0);
  return trouble.blocksOrders;
}

/** Why no replica of this target may be ordered now: it says so itself, or one of its replicas would meet the same. */
export function noOrderWhy(target: TargetView, replicas: readonly ReplicaView[]): string | null {
  if (target.noUpWhy !== null) return clip(target.noUpWhy);
  const blocking = replicas.find((replica) => replica.target === target.name && blocksOrders(replica, target));
  return blocking?.trouble == null ? null : clip(`${blocking.trouble.kind}: ${blocking.trouble.message}`);
}

/** A failed boot is the breaker's business, and what an older template meets says little of the new one. */
function blocksOrders(replica: ReplicaView, target: TargetView): boolean {
  const { trouble, phase, terminating, templateHash } = replica;
  if (trouble === null || terminating || phase === 'Ready' || phase === 'Draining') return false;
  // Others take its place.
  if (isQuarantined(replica)) return false;
  if (!(trouble.blocksOrders || isBlocked(replica, target))) return false;
  if (phase === 'Stuck' && !lacksCapacity(trouble)) return false;
  return lacksCapacity(trouble) || templateHash === target.templateHash;
}

/** Names of the targets from which nothing may be taken away now. */
export function heldFromFalling(targets: readonly TargetView[]): ReadonlySet<string> {
  return new Set(targets.filter(({ noDownWhy }) => noDownWhy !== null).map(({ name }) => name));
}

/** The target that the next replica would be of: the most wanted one that works and that nothing holds. */
export function nextTarget({ targets, replicas }: Pick<Snapshot, 'targets' | 'replicas'>): TargetView | undefined {
  return targets.find(
    (target) => target.maxReplicas > 0 && !isOpen(target.breaker) && noOrderWhy(target, replicas) === null,
  );
}

/** What holds one target, in one clause; null = nothing. */
export function heldWhy(target: TargetView, replicas: readonly ReplicaView[]): string | null {
  const up = noOrderWhy(target, replicas);
  const down = target.noDownWhy === null ? null : clip(target.noDownWhy);
  if (up === null && down === null) return null;
  if (up === down) return `no order and no step down (${up})`;
  const clauses = [up === null ? [] : [`no order (${up})`], down === null ? [] : [`no step down (${down})`]];
  return clauses.flat().join(', ');
}

/** For the end of a decision's sentence. */
export function holdNotes({ targets, replicas }: Snapshot): string {
  return targets
    .map((target) => ({ name: target.name, why: heldWhy(target, replicas) }))
    .filter(({ why }) => why !== null)
    .map(({ name, why }) => `; target ${name}: ${why}`)
    .join('');
}

function clip(text: string): string {
  return text.length <= LONGEST_WHY_CHARS ? text : `${text.slice(0, LONGEST_WHY_CHARS - 1)}…`;
}
