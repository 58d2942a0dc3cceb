import type { BatchStatus, RowCounts } from '../../core/batches.ts';

/** What the life of batches tells about itself; see metrics.ts. */
export interface BatchMeter {
  /** A batch of that status is kept by this process, in place of one of `before`. Null = it is not, or was not. */
  kept(before: BatchStatus | null, after: BatchStatus | null): void;
  created(): void;
  /** From its creation. */
  ended(status: BatchStatus, counts: RowCounts, durationMs: number): void;
  paused(reason: 'paused' | 'failing'): void;
  validated(result: 'valid' | 'invalid', durationMs: number): void;
  finalised(durationMs: number): void;
  /** Its files would not have had every row, so they were not published. */
  short(): void;
  takenOver(): void;
  reconciled(repaired: number, durationMs: number): void;
}
