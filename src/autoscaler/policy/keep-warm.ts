import { hasDemand, type ReplicaView, type Snapshot } from './snapshot.ts';

/** A boot without demand may be given up after this long, if it would still take longer than the pool is kept warm. */
const ABANDON_AFTER_MS = 60_000;

/** True when nothing is queued or runs and the last activity is as long ago as the pool is kept warm. */
export function isIdle(snapshot: Snapshot, keepWarmMs: number): boolean {
  return !hasDemand(snapshot) && snapshot.idleMs >= keepWarmMs;
}

/**
 * Candidates whose boot is not worth finishing: one that has no node yet, or nothing wanted it for a minute and it still
 * needs longer than a ready one would be kept. Any other boot is finished even if its callers have left.
 */
export function abandonableBoots(
  snapshot: Snapshot,
  candidates: readonly ReplicaView[],
  keepWarmMs: number,
): readonly string[] {
  if (hasDemand(snapshot)) return [];
  return candidates
    .filter(({ phase, remaining }) => {
      if (remaining === null) return false;
      const hasNoNode = phase === 'Pending';
      return hasNoNode || (snapshot.noDemandMs >= ABANDON_AFTER_MS && remaining.p50Ms > keepWarmMs);
    })
    .map(({ uid }) => uid);
}
