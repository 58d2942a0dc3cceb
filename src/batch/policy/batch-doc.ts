import type {
  BatchError,
  BatchHold,
  BatchStamps,
  BatchStatus,
  BatchUsage,
  BatchWishes,
  RowCounts,
} from '../../core/batches.ts';
import type { ApiPath } from '../../core/call.ts';
import type { StoredFile } from '../../core/files.ts';
import type { Identity } from '../../core/identity.ts';
import type { PoolKey } from '../../core/objects.ts';

/** One generation of a batch, whole. Small: never anything of its rows. */
export interface BatchDoc {
  readonly id: string;
  /** 1 at creation; each change is the next. */
  readonly generation: number;
  /** As authenticated at creation: what its rows may use. */
  readonly identity: Identity;
  readonly inputFile: StoredFile;
  /** Only these rows (0-based lines) of the input file; null = all. A blob of 4-byte little-endian line numbers. */
  readonly onlyRowsKey: string | null;
  readonly endpoint: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly outputExpiresAfterMs: number | null;
  readonly wishes: BatchWishes;
  readonly createdAtEpochMs: number;
  /** End of the window; may be extended. */
  readonly expiresAtEpochMs: number;
  readonly retryOf: string | null;
  readonly retriedBy: string | null;
  readonly status: BatchStatus;
  readonly stamps: BatchStamps;
  readonly errors: readonly BatchError[] | null;
  /** Null before validation. */
  readonly plan: BatchPlan | null;
  /** Rows may not start while it is set. */
  readonly pause: (BatchHold & { readonly sinceEpochMs: number }) | null;
  /** Why its unfinished rows are being ended; set with cancelling or when the window is over. */
  readonly ending: 'cancelled' | 'expired' | null;
  /** Set with the final status. */
  readonly final: BatchFinal | null;
  /** Its end was told, its input file released, its row states dropped: nothing is left to do. Absent = not yet. */
  readonly settled?: true;
  /** How its creation is known again; kept so that this survives a loss of Redis. */
  readonly repetition?: { readonly keyHash: string | null; readonly bodyHash: string };
}

export interface BatchFinal {
  readonly counts: RowCounts;
  readonly usage: BatchUsage;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
}

/** What validation made of the input file. Rows are numbered by *place*: their position in the plan. */
export interface BatchPlan {
  /** Rows that may run: places 0..runnable−1. */
  readonly runnable: number;
  /** All rows, those that are wrong included (`onInvalidRow: skip`); these have the places after the runnable ones. */
  readonly total: number;
  /** Blob of `total` records of PLAN_ENTRY_BYTES; see plan-entry.ts. */
  readonly planKey: string;
  readonly groups: readonly RowGroup[];
  readonly inputBytes: number;
  readonly longestRowBytes: number;
}

/** Rows that go the same way: places `firstPlace` to `firstPlace + rows − 1`. */
export interface RowGroup {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly path: ApiPath;
  readonly model: string;
  readonly servedModel: string;
  readonly adapter: string | null;
  readonly firstPlace: number;
  readonly rows: number;
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
}

/** `open`: rows may run. `paused`: none may start. `closing`: none may start, those that run may finish. `closed`: nothing is taken any more. */
export type RowGate = 'open' | 'paused' | 'closing' | 'closed';

export interface RowTotals {
  readonly pending: number;
  readonly completed: number;
  readonly failed: number;
  readonly expired: number;
  readonly cancelled: number;
  readonly usage: BatchUsage;
  readonly gate: RowGate;
}
