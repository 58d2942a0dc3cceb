import type { Overfull } from './attempts.ts';

/** What stood in the ledger at one moment, read in one step. */
export interface SlotSample {
  readonly atEpochMs: number;
  readonly incarnation: string;
  /** Nothing is granted yet. */
  readonly isRecovering: boolean;
  /** Endpoint → who holds its slots: ids, `!id` in quarantine. */
  readonly used: Readonly<Record<string, readonly string[]>>;
}

/** More leases than slots that no re-assertion explains. */
interface OverGrant {
  readonly atEpochMs: number;
  readonly endpoint: string;
  readonly slots: number;
  readonly held: number;
  /** Who came to it. */
  readonly ids: readonly string[];
}

/**
 * From the moment in which clients may already be with another primary, whose incarnation begins later, until owners that were
 * away have come back to it: the 2 s of recovery, and what a client needs to find its way.
 */
const BEFORE_INCARNATION_MS = 5_000;
const AFTER_INCARNATION_MS = 10_000;

/** When incarnations began but for the first, as seen. */
export function incarnationsOf(samples: readonly SlotSample[]): readonly number[] {
  const known = new Set<string>();
  const began: number[] = [];
  for (const { incarnation, atEpochMs } of samples) {
    if (known.has(incarnation)) continue;
    if (known.size > 0) began.push(atEpochMs);
    known.add(incarnation);
  }
  return began;
}

/** Longer without a look: Redis was away, or the machine did nothing. */
const STALL_MS = 1_000;

/** Between which looks so much time went by. */
export function stallsOf(samples: readonly SlotSample[]): readonly { fromEpochMs: number; toEpochMs: number }[] {
  return samples.slice(1).flatMap(({ atEpochMs: toEpochMs }, index) => {
    const fromEpochMs = (samples[index] as SlotSample).atEpochMs;
    return toEpochMs - fromEpochMs > STALL_MS ? [{ fromEpochMs, toEpochMs }] : [];
  });
}

/** Whether owners may have run then what the ledger had lost (docs/queue.md, Incarnations). */
export function aroundIncarnation(began: readonly number[], atEpochMs: number): boolean {
  return began.some((ms) => atEpochMs >= ms - BEFORE_INCARNATION_MS && atEpochMs <= ms + AFTER_INCARNATION_MS);
}

/**
 * Who came to an endpoint that then held more than its slots. Only a re-assertion may do that: in a new incarnation, of what was
 * granted in one before. What was granted in the last moments of that nobody may have seen; it may come while the new one
 * is young.
 */
export function overGrants(samples: readonly SlotSample[], slots: number): readonly OverGrant[] {
  const found: OverGrant[] = [];
  const former = new Set<string>();
  const own = new Set<string>();
  let current: SlotSample | null = null;
  let beganAtEpochMs = Number.NEGATIVE_INFINITY;
  for (const sample of samples) {
    if (current !== null && current.incarnation !== sample.incarnation) {
      for (const id of own) former.add(id);
      own.clear();
      beganAtEpochMs = sample.atEpochMs;
    }
    const isYoung = sample.isRecovering || sample.atEpochMs <= beganAtEpochMs + AFTER_INCARNATION_MS;
    for (const [endpoint, held] of Object.entries(sample.used)) {
      const before = new Set(current?.incarnation === sample.incarnation ? current.used[endpoint]?.map(bare) : []);
      const ids = held.filter((id) => !before.has(bare(id)) && !former.has(bare(id)));
      if (held.length > slots && ids.length > 0 && !isYoung)
        found.push({ atEpochMs: sample.atEpochMs, endpoint, slots, held: held.length, ids });
      for (const id of held) own.add(bare(id));
    }
    current = sample;
  }
  return found;
}

/** Those that began when nothing explains them. */
export function unexplained(
  spells: readonly Overfull[],
  began: readonly number[],
  isExcused: (atEpochMs: number) => boolean,
): readonly Overfull[] {
  return spells.filter(({ fromEpochMs }) => !aroundIncarnation(began, fromEpochMs) && !isExcused(fromEpochMs));
}

/** Without the mark of quarantine. */
function bare(id: string): string {
  return id.startsWith('!') ? id.slice(1) : id;
}
