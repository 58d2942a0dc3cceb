import type { Mail, PoolHint, TurnRequest, TurnResult } from '../policy/ledger/ops.ts';

/** What the ledger tells a process without being asked. Hints only: everything in it can be read again. */
export interface LedgerNews {
  /** Offers and evictions of this owner. */
  readonly onMail: (mail: Mail) => void;
  /** From another process of the pool. */
  readonly onHint: (hint: PoolHint) => void;
  /** News may have been missed. */
  readonly onGap: () => void;
}

/** The ledger of one pool, wherever it lives. Contract: tests/contract/ledger-store.ts. */
export interface LedgerStore {
  /**
   * Executes one turn as one step. `stale` also when the server behind the connection changed since `runId` was last
   * asked. Rejects when the ledger cannot be reached; the turn may then have been executed, once at most.
   */
  exec(request: TurnRequest): Promise<TurnResult>;
  /** Identity of the server process that answers now. */
  runId(): Promise<string>;
  /** Starts the news for this owner. Resolves at once; news begins when the channel stands. */
  subscribe(owner: string, news: LedgerNews): () => void;
}
