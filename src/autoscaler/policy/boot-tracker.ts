import type { WarmUpPhase } from '../../core/replicas.ts';
import type { BootRecord } from './cold-start.ts';
import type { TargetReplica } from './target-replica.ts';

/** What is known of one replica's way to Ready; times of the monotonic clock. */
export interface TrackedBoot {
  readonly phase: WarmUpPhase;
  readonly phaseSinceMs: number;
  readonly enteredMs: Readonly<Partial<Record<WarmUpPhase, number>>>;
  /** Its boot has already been counted, as a success or a failure. */
  readonly counted: boolean;
}

export type TrackedBoots = ReadonlyMap<string, TrackedBoot>;

export type BootResult =
  | { readonly kind: 'ready'; readonly templateHash: string; readonly boot: BootRecord }
  | { readonly kind: 'failed'; readonly templateHash: string; readonly message: string };

export interface TrackedTime {
  readonly monotonicMs: number;
  readonly epochMs: number;
}

/**
 * Follows every replica through its phases and tells which boots ended since the last look. A replica that starts again
 * after a crash boots again from `Requested`. A replica first seen Ready was not watched and counts for nothing.
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
    const entry = known?.phase === replica.phase ? known : enter(known, replica.phase, now.monotonicMs);
    const result = entry.counted ? null : resultOf(replica, entry, now);
    if (result !== null) results.push(result);
    next.set(replica.uid, result === null ? entry : { ...entry, counted: true });
  }
  return { tracked: next, results };
}

function enter(known: TrackedBoot | undefined, phase: WarmUpPhase, nowMs: number): TrackedBoot {
  if (known === undefined)
    return { phase, phaseSinceMs: nowMs, enteredMs: { [phase]: nowMs }, counted: phase === 'Ready' };
  // A restart waits out its back-off first, so its whole time says nothing about a boot.
  if (phase === 'Requested') return { phase, phaseSinceMs: nowMs, enteredMs: {}, counted: false };
  return { phase, phaseSinceMs: nowMs, enteredMs: { ...known.enteredMs, [phase]: nowMs }, counted: known.counted };
}

function resultOf(replica: TargetReplica, entry: TrackedBoot, now: TrackedTime): BootResult | null {
  const { templateHash, phase } = replica;
  if (phase === 'Stuck') return { kind: 'failed', templateHash, message: replica.message ?? 'stuck' };
  if (phase !== 'Ready') return null;
  const passed = Object.entries(entry.enteredMs).filter(([name]) => name !== 'Ready');
  const toReadyMs = Object.fromEntries(passed.map(([name, atMs]) => [name, now.monotonicMs - atMs]));
  return { kind: 'ready', templateHash, boot: { atEpochMs: now.epochMs, toReadyMs } };
}
