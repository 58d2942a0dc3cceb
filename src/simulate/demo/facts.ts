/** What the demo has seen of its requests, as data: the summary and the check are made of it. */

/** The file of tickets as a batch that was accepted. */
export interface AcceptedBatch {
  readonly id: string;
  readonly acceptedAtEpochMs: number;
}

/** The batch as GET /v1/batches/{id} tells it. */
export interface BatchState {
  readonly id: string;
  readonly status: string;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly rowsPerSecond: number | null;
  /** Milliseconds until its rows are done; null = the server cannot tell yet. */
  readonly etaMs: number | null;
  /** Why no row runs, for people. */
  readonly hold: string | null;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  /** What is wrong with the file, when it did not validate. */
  readonly why: string | null;
}

/** One row of the input as it was found in the files at the end. */
export interface RowFacts {
  /** Of the planned request, and of the line of the input, from 0. */
  readonly index: number;
  readonly id: string;
  /** Null = in neither file. */
  readonly status: 'completed' | 'failed' | null;
  /** Whether the text is exactly the simulator's for this very row; false also when it could not be read. Null unless completed. */
  readonly textIsRight: boolean | null;
  /** From the acceptance of the batch until a model server began with it, to about half a second (the answer tells whole seconds). */
  readonly waitMs: number | null;
  /** Tries, as the server tells; null without an answer. */
  readonly attempts: number | null;
}

/** Lines of both files that are not as they should be. */
export interface LineCounts {
  readonly read: number;
  /** A row that had a line already. */
  readonly repeated: number;
  /** No row of the input. */
  readonly strange: number;
  /** Behind a line of a later row of the input. */
  readonly outOfOrder: number;
}

export interface ChatFacts {
  readonly index: number;
  /** `cut` = the connection broke after the first token; `refused` = 429 or 503 until the demo gave up. */
  readonly outcome: 'completed' | 'failed' | 'cut' | 'refused';
  readonly error: string | null;
  /** No replica was ready when it was sent. */
  readonly metSleepingPool: boolean;
  /** From sending it to its first content token, retries included. */
  readonly ttftMs: number | null;
  /** In the queue, as the server tells; of a stream that was announced before, until its first event. */
  readonly waitMs: number | null;
  readonly textIsRight: boolean | null;
}

export interface RunFacts {
  readonly plannedRows: number;
  /** As last told; null = no batch was accepted. */
  readonly batch: BatchState | null;
  /** Batches that the server knows of the tenant whose file this is. */
  readonly batchesMade: number;
  /** Every row of the input, in its order. */
  readonly rows: readonly RowFacts[];
  readonly lines: LineCounts;
  readonly chats: readonly ChatFacts[];
  readonly plannedChats: number;
  /** Outcomes that the serving process counted: rows that completed, chats that ended in any way. */
  readonly settled: { readonly completedRows: number; readonly chats: number };
  /** Times that the serving process died and was started again. */
  readonly serverDeaths: number;
  readonly poolIsAtZero: boolean;
}
