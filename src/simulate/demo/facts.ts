/** What the demo has seen of its requests, as data: the summary and the check are made of it. */

/** A job that was accepted (202). */
export interface AcceptedJob {
  /** Of the planned request. */
  readonly index: number;
  readonly id: string;
  readonly acceptedAtEpochMs: number;
}

export type JobEnd = 'completed' | 'failed' | 'cancelled' | 'expired';

/** An accepted job as it was found at the end. */
export interface JobFacts extends AcceptedJob {
  /** Null = still without an outcome when the demo gave up waiting. */
  readonly status: JobEnd | null;
  /** Whether the text is exactly the simulator's; false also when it could not be read. Null without a result. */
  readonly textIsRight: boolean | null;
  /** From the 202 until a model server began with it, to about half a second (the answer tells whole seconds). */
  readonly waitMs: number | null;
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
  readonly plannedJobs: number;
  readonly jobs: readonly JobFacts[];
  /** Submissions whose answer was lost, so that the job may have been accepted once more under another id. */
  readonly unansweredSubmissions: number;
  readonly chats: readonly ChatFacts[];
  readonly plannedChats: number;
  /** Job ids in the results file, as read back from it. */
  readonly resultIds: readonly string[];
  /** Outcomes that the serving process counted. */
  readonly settled: { readonly jobs: number; readonly chats: number };
  /** Times that the serving process died and was started again. */
  readonly serverDeaths: number;
  readonly poolIsAtZero: boolean;
}
