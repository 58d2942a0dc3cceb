import type { JobAnnouncement } from '../../core/jobs.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { OutcomeKind } from '../../core/outcome.ts';
import type { ReconcileReport } from './reconcile.ts';

/** Counts what happens to stored jobs in this process. Reasons and results come from closed lists in the code. */
export interface JobMeter {
  /** `result`: "accepted", or the error code. */
  submitted(pool: PoolKey, result: string): void;
  ended(pool: PoolKey, outcome: OutcomeKind): void;
  handedBack(pool: PoolKey, reason: string): void;
  recovered(pool: PoolKey, jobs: number): void;
  held(pool: PoolKey, jobs: number): void;
  reconciled(report: ReconcileReport, durationMs: number): void;
  /** An end was told: to whom, or why not. */
  announced(pool: PoolKey, result: JobAnnouncement['kind'] | 'failed' | 'dropped'): void;
}

const nothing = (): void => undefined;

export const silentMeter: JobMeter = {
  submitted: nothing,
  ended: nothing,
  handedBack: nothing,
  recovered: nothing,
  held: nothing,
  reconciled: nothing,
  announced: nothing,
};
