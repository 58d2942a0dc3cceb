import type { Considered } from './consider.ts';
import { isQuarantined } from './holds.ts';
import { hasDemand, type ReplicaView, type Snapshot } from './snapshot.ts';

/** A boot without demand may be given up after this long, if it would still take longer than the pool is kept warm. */
const ABANDON_AFTER_MS = 60_000;

/** True when nothing is queued or runs and the last activity is as long ago as the pool is kept warm. */
export function isIdle(snapshot: Snapshot, keepWarmMs: number): boolean {
  return !hasDemand(snapshot) && snapshot.idleMs >= keepWarmMs;
}

/**
 * Candidates whose boot is not worth finishing: one that has no node yet or waits for nobody knows what, or nothing
 * wanted it for a minute and it still needs longer than a ready one would be kept. Any other boot is finished even if its
 * callers have left.
 */
export function abandonableBoots(
  { snapshot, order, settings }: Considered,
  candidates: readonly ReplicaView[],
): readonly string[] {
  if (hasDemand(snapshot)) return [];
  const unwanted = candidates
    .filter((replica) => {
      const { phase, remaining } = replica;
      // What still runs there ends well if it can.
      if (isQuarantined(replica)) return false;
      if (order.blocked.includes(replica)) return true;
      if (remaining === null) return false;
      const hasNoNode = phase === 'Pending';
      return hasNoNode || (snapshot.noDemandMs >= ABANDON_AFTER_MS && remaining.p50Ms > settings.keepWarmMs);
    })
    .map(({ uid }) => uid);
  return onlyTopmost(unwanted, order.live);
}

/** Of a workload that removes its highest replica first, those above which nothing stays. */
function onlyTopmost(uids: readonly string[], live: readonly ReplicaView[]): readonly string[] {
  const staying = live.filter(({ uid, removalOrder }) => removalOrder !== null && !uids.includes(uid));
  const isBelow = (replica: ReplicaView): boolean =>
    staying.some(
      ({ target, removalOrder }) =>
        target === replica.target && (removalOrder ?? 0) > (replica.removalOrder ?? Number.POSITIVE_INFINITY),
    );
  return live.filter((replica) => uids.includes(replica.uid) && !isBelow(replica)).map(({ uid }) => uid);
}
