import type { BatchHold } from '../../../core/batches.ts';
import type { PoolKey } from '../../../core/objects.ts';
import type { BatchDoc, RowTotals } from '../batch-doc.ts';

/** Whether a pool serves now, in a sentence for people. */
export interface PoolState {
  readonly kind: 'serving' | 'waking' | 'no_capacity';
  readonly message: string;
}

export interface HoldFacts {
  readonly totals: RowTotals | null;
  /** Rows that hold a slot or wait for one: some do also while their pool wakes. */
  readonly rowsRunning: number;
  readonly pools: readonly { readonly pool: PoolKey; readonly state: PoolState }[];
  /** Unfinished batches of the same tenant that are due earlier. */
  readonly ahead: number;
}

/** Why no row of the batch runs now; null when rows run, or nobody has to say why not. */
export function holdOf(doc: BatchDoc, { totals, rowsRunning, pools, ahead }: HoldFacts): BatchHold | null {
  if (doc.pause !== null) return { reason: doc.pause.reason, message: doc.pause.message };
  if (doc.plan === null || doc.ending !== null || doc.final !== null) return null;
  if (totals === null || totals.pending === 0) return null;
  if (pools.some(({ state }) => state.kind === 'serving')) {
    if (rowsRunning > 0 || ahead === 0) return null;
    const batches = ahead === 1 ? 'batch' : 'batches';
    return {
      reason: 'queued_behind',
      message: `${ahead} ${batches} of this tenant with an earlier deadline run first.`,
    };
  }
  const [first] = pools;
  if (!first) return null;
  const { pool, state } = pools.find((entry) => entry.state.kind === 'no_capacity') ?? first;
  const reason = state.kind === 'no_capacity' ? 'no_capacity' : 'scaling_from_zero';
  return { reason, message: `Pool '${pool}': ${state.message}` };
}
