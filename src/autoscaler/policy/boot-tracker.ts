import type { BootTroubleKind, WarmUpPhase } from '../../core/replicas.ts';
import type { BootRecord } from './cold-start.ts';
import { lacksCapacity } from './holds.ts';
import type { TargetReplica } from './target-replica.ts';

/** What is known of one replica's way to Ready; times of the monotonic clock. */
export interface TrackedBoot {
  readonly phase: WarmUpPhase;
  readonly phaseSinceMs: number;
  readonly enteredMs: Readonly<Partial<Record<WarmUpPhase, number>>>;
  /** How its boot has been counted already. One that failed and comes to serve after all counts again. */
  readonly counted: 'no' | 'failed' | 'ready';
}

export type TrackedBoots = ReadonlyMap<string, TrackedBoot>;

export type BootResult =
  | { readonly kind: 'ready'; readonly templateHash: string; readonly boot: BootRecord }
  | {
      readonly kind: 'failed';
      readonly templateHash: string;
      readonly message: string;
      readonly reason: BootTroubleKind | null;
      /** Another try of the same template would fail as well. */
      readonly permanent: boolean;
    };

export interface TrackedTime {
  readonly monotonicMs: number;
  readonly epochMs: number;
}

/** A boot that seems to have begun longer ago than this was not: its time is not ours, or a clock is wrong. */
const LONGEST_BOOT_MS = 86_400_000;

/**
 * Follows every replica through its phases and tells which boots ended since the last look. A replica that starts again
 * after a crash boots again from `Requested`. One first seen in mid-boot (by a new leader, or a pod that takes the place
 * of an order) has booted since it was requested; one first seen Ready or Draining was not watched and counts for
 * nothing. A replica that is gone leaves no result: an order that became a pod has not failed. Nor has one that waits
 * for room in the cluster.
 */
export function trackBoots(
  tracked: TrackedBoots,
  replicas: readonly TargetReplica[],
  now: TrackedTime,
): { readonly tracked: TrackedBoots; readonly results: readonly BootResult[] } {
  const results: BootResult[] = [];
  const next = new Map<string, TrackedBoot>();
  for (const replica of replicas) {
    const known = tracked.get(replica.uid);
    const entry = entryOf(replica, known, now);
    const result = resultOf(replica, entry, now);
    if (result !== null) results.push(result);
    next.set(replica.uid, result === null ? entry : { ...entry, counted: result.kind });
  }
  return { tracked: next, results };
}

function entryOf(replica: TargetReplica, known: TrackedBoot | undefined, now: TrackedTime): TrackedBoot {
  if (known === undefined) return firstSeen(replica, now);
  return known.phase === replica.phase ? known : enter(known, replica.phase, now.monotonicMs);
}

/** By the times the target tells, which another machine's clock may have set: never in the future. */
function firstSeen(replica: TargetReplica, { monotonicMs, epochMs }: TrackedTime): TrackedBoot {
  const { phase, requestedAtEpochMs, phaseSinceEpochMs } = replica;
  const agoMs = (atEpochMs: number): number => Math.min(LONGEST_BOOT_MS, Math.max(0, epochMs - atEpochMs));
  const requestedAgoMs = agoMs(requestedAtEpochMs);
  const phaseSinceMs = monotonicMs - Math.min(requestedAgoMs, agoMs(phaseSinceEpochMs));
  const counted = phase === 'Ready' || phase === 'Draining' ? 'ready' : 'no';
  const enteredMs = { Requested: monotonicMs - requestedAgoMs, [phase]: phaseSinceMs };
  return { phase, phaseSinceMs, enteredMs, counted };
}

function enter(known: TrackedBoot, phase: WarmUpPhase, nowMs: number): TrackedBoot {
  // A restart waits out its back-off first, so its whole time says nothing about a boot.
  if (phase === 'Requested') return { phase, phaseSinceMs: nowMs, enteredMs: {}, counted: 'no' };
  return { phase, phaseSinceMs: nowMs, enteredMs: { ...known.enteredMs, [phase]: nowMs }, counted: known.counted };
}

function resultOf(replica: TargetReplica, entry: TrackedBoot, now: TrackedTime): BootResult | null {
  const { templateHash, phase, trouble } = replica;
  if (entry.counted === 'ready') return null;
  if (hasFailed(replica)) {
    if (entry.counted === 'failed') return null;
    const message = replica.message ?? trouble?.message ?? 'stuck';
    return {
      kind: 'failed',
      templateHash,
      message,
      reason: trouble?.kind ?? null,
      permanent: trouble?.permanent === true,
    };
  }
  if (phase !== 'Ready') return null;
  const passed = Object.entries(entry.enteredMs).filter(([name]) => name !== 'Ready');
  const toReadyMs = Object.fromEntries(passed.map(([name, atMs]) => [name, now.monotonicMs - atMs]));
  return { kind: 'ready', templateHash, boot: { atEpochMs: now.epochMs, toReadyMs } };
}

/** Stuck for another reason than want of room, or booting with something that will not pass by itself. */
function hasFailed({ phase, trouble }: TargetReplica): boolean {
  if (phase === 'Stuck') return !lacksCapacity(trouble);
  return trouble?.permanent === true && phase !== 'Ready' && phase !== 'Draining';
}
