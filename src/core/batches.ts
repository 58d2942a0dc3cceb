import type { Identity } from './identity.ts';
import type { Page, PageRequest } from './files.ts';

/**
 * Batches as the OpenAI API has them (https://platform.openai.com/docs/api-reference/batch), and what Pilotlight adds.
 *
 * | status      | enters when                              | leaves to                                |
 * | ----------- | ---------------------------------------- | ---------------------------------------- |
 * | validating  | created                                  | in_progress, failed, cancelling          |
 * | failed      | its file did not validate                | –                                        |
 * | in_progress | its rows may run                         | finalizing, expired, cancelling          |
 * | finalizing  | every row is terminal                    | completed                                |
 * | completed   | its files can be read                    | –                                        |
 * | expired     | its window ran out, its files are there  | –                                        |
 * | cancelling  | a cancel was accepted                    | cancelled                                |
 * | cancelled   | no row runs any more, its files are there| –                                        |
 */
export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof BATCH_STATUSES)[number];

export function isFinalBatch(status: BatchStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'expired' || status === 'cancelled';
}

export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  /** 1-based line of the input file. */
  readonly line: number | null;
}

export interface RowCounts {
  readonly total: number;
  readonly completed: number;
  /** Everything terminal that is not completed: refused, expired, cancelled. In every final state but `failed` the two add up to total. */
  readonly failed: number;
}

export interface BatchUsage {
  readonly inputTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

export interface BatchStamps {
  readonly inProgressAtEpochMs: number | null;
  readonly finalizingAtEpochMs: number | null;
  readonly completedAtEpochMs: number | null;
  readonly failedAtEpochMs: number | null;
  readonly expiredAtEpochMs: number | null;
  readonly cancellingAtEpochMs: number | null;
  readonly cancelledAtEpochMs: number | null;
}

/** Why an unfinished batch's rows do not run, for people. */
export interface BatchHold {
  readonly reason: 'paused' | 'failing' | 'scaling_from_zero' | 'no_capacity' | 'queued_behind' | 'quota';
  readonly message: string;
}

/** Pilotlight's own fields, under `pilotlight` in the object. */
export interface BatchProgress {
  readonly phase: 'validating' | 'running' | 'paused' | 'finalizing' | 'finished';
  readonly objective: string | null;
  readonly rowsPerSecond: number | null;
  /** Milliseconds until its rows are done, as of now. Null = nobody can tell yet. */
  readonly etaMs: number | null;
  readonly rowsRunning: number;
  readonly hold: BatchHold | null;
  /** Share of validating or finalising that is done, 0..100. */
  readonly stepPercent: number | null;
  readonly retryOf: string | null;
  readonly retriedBy: string | null;
  readonly estimatedTokens: number | null;
}

export interface BatchView {
  readonly id: string;
  readonly tenant: string;
  readonly endpoint: string;
  readonly inputFileId: string;
  readonly completionWindow: string;
  readonly status: BatchStatus;
  readonly model: string | null;
  readonly errors: readonly BatchError[] | null;
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  readonly createdAtEpochMs: number;
  readonly expiresAtEpochMs: number;
  readonly stamps: BatchStamps;
  readonly counts: RowCounts;
  readonly usage: BatchUsage | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly progress: BatchProgress;
}

/** What a caller may ask for beyond OpenAI's fields, in `pilotlight` of the create call. */
export interface BatchWishes {
  /** Of rows that name none. */
  readonly objective: string | null;
  /** When it should be done, within the window; its rows run until the window ends all the same. Unix milliseconds. */
  readonly deadlineEpochMs: number | null;
  /** Tries of one row, 1..20; null = the setting. */
  readonly maxAttempts: number | null;
  /** `fail`: one bad line fails the batch (OpenAI). `skip`: bad lines go to the error file, the others run. */
  readonly onInvalidRow: 'fail' | 'skip';
  /** Attempts, wait and last error of each row in its output line, under `pilotlight`. */
  readonly includeRowMeta: boolean;
}

export interface BatchRequest {
  readonly identity: Identity;
  readonly inputFileId: string;
  readonly endpoint: string;
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** Of its output files, from their creation; null = 30 days. */
  readonly outputExpiresAfterMs: number | null;
  readonly wishes: BatchWishes;
  /** How to know a repetition of this very call. */
  readonly repetition: {
    /** The caller's Idempotency-Key. */
    readonly key: string | null;
    /** SHA-256 of the request's body, hex. */
    readonly bodyHash: string;
    /** Which try of an OpenAI SDK this is (x-stainless-retry-count), 0 = the first. */
    readonly sdkRetry: number;
  };
}

export interface BatchEstimate {
  readonly rows: number;
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
  /** Milliseconds the rows would take from now on, as far as rates are known. */
  readonly etaMs: number | null;
  readonly meetsDeadline: boolean | null;
  readonly models: readonly {
    readonly model: string;
    readonly pool: string;
    readonly objective: string;
    readonly rows: number;
  }[];
}

export type DryRun =
  | { readonly kind: 'valid'; readonly estimate: BatchEstimate; readonly errors: readonly BatchError[] }
  | { readonly kind: 'invalid'; readonly errors: readonly BatchError[] };

/** A change of an unfinished batch, for people and scripts. */
export type BatchChange =
  | { readonly kind: 'pause'; readonly reason: string | null }
  | { readonly kind: 'resume' }
  /** Rows that have not run go on under this objective. */
  | { readonly kind: 'objective'; readonly objective: string }
  /** A later end of its window. */
  | { readonly kind: 'extend'; readonly expiresAtEpochMs: number };

/** One finished row, as its line in the output or error file. */
export interface RowLine {
  /** 0-based line of the input file. */
  readonly row: number;
  readonly line: string;
}

/** Refusals are thrown as PilotlightError; another tenant's batch is `batch_not_found`. */
export interface BatchService {
  /** Answers once the batch is durable. */
  create(request: BatchRequest): Promise<BatchView>;
  /** Validates now, stores nothing. Bounded by the signal. */
  dryRun(request: BatchRequest, signal: AbortSignal): Promise<DryRun>;
  get(id: string, tenant: string): Promise<BatchView>;
  /** Newest first. */
  list(tenant: string, page: PageRequest & { readonly status: BatchStatus | null }): Promise<Page<BatchView>>;
  /** The same object when it is cancelling or cancelled already; `batch_already_finished` when it has ended otherwise. */
  cancel(id: string, tenant: string): Promise<BatchView>;
  change(id: string, identity: Identity, change: BatchChange): Promise<BatchView>;
  /** A new batch of the rows that did not complete, linked with it. `batch_not_finished`, `nothing_to_retry`. */
  retryFailed(id: string, identity: Identity): Promise<BatchView>;
  /** Lines of rows that have ended so far, in input order, from row `afterRow` + 1 on. */
  rows(id: string, tenant: string, afterRow: number, limit: number): Promise<Page<RowLine>>;
  /** The present view at once, then each noticeable change, at most one a second; ends after the final one. */
  watch(id: string, tenant: string, signal: AbortSignal): AsyncIterable<BatchView>;
}
