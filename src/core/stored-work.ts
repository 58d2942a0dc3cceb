/** What a comparison of the store with Redis has repaired. */
export interface ReconcileSummary {
  readonly jobs: {
    /** Results whose outcome Redis did not know. */
    readonly settled: number;
    /** Accepted jobs without an outcome: they are in the backlog. */
    readonly restored: number;
    /** Jobs of pools that are not served here. */
    readonly unserved: number;
  };
  /** Null where batches are switched off. */
  readonly batches: {
    /** In the store. */
    readonly batches: number;
    /** That Redis did not know as they are. */
    readonly repaired: number;
    readonly unfinished: number;
    readonly failed: number;
  } | null;
}

/** Brings Redis in line with the store. Safe beside live traffic and repeatable. */
export type ReconcileStored = (signal: AbortSignal) => Promise<ReconcileSummary>;
