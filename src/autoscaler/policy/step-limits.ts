import { isBooting, type PodOrder } from './pod-order.ts';
import type { Snapshot, TargetView } from './snapshot.ts';

export interface Orders {
  /** Replicas to order now, by target. */
  readonly byTarget: ReadonlyMap<string, number>;
  /** Why fewer than wanted; null = all of them. */
  readonly limit: 'probe' | 'max-boots' | null;
}

/**
 * How many of the wanted new pods may be ordered now: at most `maxBootsInFlight` boots at once, and only one (a probe) of
 * a template that never became ready or whose last boot failed.
 */
export function limitOrders(snapshot: Snapshot, order: PodOrder, wantedNew: number): Orders {
  // A boot that is blocked must not keep another target from being tried.
  const booting = snapshot.replicas.filter((replica) => isBooting(replica) && !order.blocked.includes(replica));
  const byTarget = new Map<string, number>();
  let room = snapshot.scale.maxBootsInFlight - booting.length;
  let limit: Orders['limit'] = null;
  for (const target of order.orderable.slice(0, wantedNew)) {
    const ordered = byTarget.get(target.name) ?? 0;
    const inFlight = ordered + booting.filter((replica) => replica.target === target.name).length;
    if (isUnproven(target) && inFlight >= 1) {
      limit = 'probe';
    } else if (room <= 0) {
      limit = 'max-boots';
    } else {
      byTarget.set(target.name, ordered + 1);
      room -= 1;
    }
  }
  return { byTarget, limit };
}

function isUnproven(target: TargetView): boolean {
  return target.coldStart.boots === 0 || target.breaker.failures > 0;
}

/** Share of the pods that one step down may take. */
const STEP_RATIO = 0.25;

/** The pods to keep after one step down towards `wanted`: at most a quarter of them go at once, or one. */
export function stepDown(live: number, wanted: number): number {
  return Math.max(wanted, live - Math.max(1, Math.floor(live * STEP_RATIO)));
}
