import type { Attempt } from './attempts.ts';
import type { Violation } from './checker.ts';
import type { Happened } from './faults.ts';
import type { FaultKind } from './schedule.ts';
import { aroundIncarnation } from './slot-rules.ts';

/** A job, or a row of a batch. */
export interface StoredRequest {
  readonly id: string;
  readonly seed: number;
}

interface StoredContext {
  /** When the ledger lost what it had granted. */
  readonly incarnations: readonly number[];
  /** Whether a run may have gone on then without anybody who knows of it. */
  readonly mayOverlap: (atEpochMs: number) => boolean;
  readonly happened: readonly Happened[];
}

/** Two runs may meet so long: the one that lost its slot hears of it with the next heartbeat. */
const OVERLAP_MS = 1_000;
/** From what is broken until its whole answer was lost. */
const BEFORE_END_MS = 5_000;
/** They lose no answer. */
const HARMLESS: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...(['step clock of gateway', 'stop gateway', 'kill controller', 'freeze controller'] as const),
  ...(['step clock of controller', 'slow engines', 'kill replica', 'kill sentinel'] as const),
]);

/** Stored work may run again when its run was lost; not twice at a time, and not after an answer that nothing lost. */
export function storedViolations(
  requests: readonly StoredRequest[],
  attempts: ReadonlyMap<number, readonly Attempt[]>,
  context: StoredContext,
): readonly Violation[] {
  return requests.flatMap(({ id, seed }) => {
    const own = attempts.get(seed) ?? [];
    const say = (rule: string, told: string): Violation[] => [{ rule, id, told, seed }];
    return own.slice(1).flatMap((attempt, index) => {
      const before = own[index] as Attempt;
      const { beganAtEpochMs } = attempt;
      const overlapMs = Math.min(before.endedAtEpochMs, attempt.endedAtEpochMs) - beganAtEpochMs;
      if (overlapMs > OVERLAP_MS && before.why !== null && !mayMeet(context, beganAtEpochMs))
        return say('stored work runs once at a time', `twice for ${overlapMs} ms in ${before.pid} and ${attempt.pid}`);
      const wasWhole = before.why === 'length' && before.endedAtEpochMs <= beganAtEpochMs;
      if (wasWhole && !mayBeLost(context, before, beganAtEpochMs))
        return say('stored work does not run again after its answer', `in ${attempt.pid}`);
      return [];
    });
  });
}

function mayMeet({ incarnations, mayOverlap }: StoredContext, atEpochMs: number): boolean {
  return aroundIncarnation(incarnations, atEpochMs) || mayOverlap(atEpochMs);
}

function mayBeLost({ happened }: StoredContext, { endedAtEpochMs }: Attempt, againAtEpochMs: number): boolean {
  return happened.some(
    ({ kind, fromEpochMs, toEpochMs }) =>
      !HARMLESS.has(kind) && fromEpochMs <= againAtEpochMs && toEpochMs >= endedAtEpochMs - BEFORE_END_MS,
  );
}
