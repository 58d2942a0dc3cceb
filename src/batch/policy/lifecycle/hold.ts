import type { BatchHold } from '../../../core/batches.ts';
import type { PoolKey } from '../../../core/objects.ts';
import type { RateQuotas } from '../../../core/tenants.ts';
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
  /** What is left of its tenant's rates; absent = it has none. */
  readonly rates?: TenantRates;
}

type TenantRates = ReturnType<RateQuotas['state']>;

/** Why no row of the batch runs now; null when rows run, or nobody has to say why not. */
export function holdOf(doc: BatchDoc, { totals, rowsRunning, pools, ahead, rates }: HoldFacts): BatchHold | null {
  if (doc.pause !== null) return { reason: doc.pause.reason, message: doc.pause.message };
  if (doc.plan === null || doc.ending !== null || doc.final !== null) return null;
  if (totals === null || totals.pending === 0) return null;
  if (pools.some(({ state }) => state.kind === 'serving')) {
    if (rowsRunning > 0) return null;
    const quota = rates && usedQuota(doc, rates);
    if (quota) return { reason: 'quota', message: quota };
    if (ahead === 0) return null;
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

/** The rate that keeps a row of average size from starting; null = none does. */
function usedQuota({ plan }: BatchDoc, { requests, tokens }: TenantRates): string | null {
  if (requests && requests.remaining < 1) {
    return `Its tenant has begun its ${requests.limitPerMinute} requests of this minute (quotas.requestsPerMinute).`;
  }
  const groups = plan?.groups ?? [];
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  const planned = groups.reduce((sum, group) => sum + group.inputTokens + group.maxOutputTokens, 0);
  if (!tokens || tokens.remaining >= Math.min(planned / Math.max(1, rows), tokens.limitPerMinute)) return null;
  return `Its tenant has used its ${tokens.limitPerMinute} tokens of this minute (quotas.tokensPerMinute).`;
}
