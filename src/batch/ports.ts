import type { BatchError, BatchUsage, BatchWishes } from '../core/batches.ts';
import type { ByteRange, SegmentPlace } from '../core/blobs.ts';
import type { DispatchRequest } from '../core/dispatch.ts';
import type { PilotlightError } from '../core/errors.ts';
import type { StoredFile } from '../core/files.ts';
import type { Identity } from '../core/identity.ts';
import type { BatchDoc, BatchFinal, BatchPlan, RowGate, RowGroup, RowTotals } from './policy/batch-doc.ts';

/**
 * How the parts of a batch meet. Each fact has one home:
 *
 * | fact                                   | home                                                        |
 * | -------------------------------------- | ----------------------------------------------------------- |
 * | what a batch is, every change of it    | its journal: one small blob per generation, created once    |
 * | which rows there are, in which order   | its plan: a blob, written once by validation                |
 * | what came out of a row                 | its row records: segments in the blob store                 |
 * | which record counts, counts and sums   | row states in Redis, rebuilt from the records               |
 * | which rows run now                     | the live order                                              |
 * | which chunks wait                      | the backlog, added again from states and plan               |
 */

export type { BatchDoc, BatchFinal, BatchPlan, RowGate, RowGroup, RowTotals };

// --- the journal -----------------------------------------------------------------------------------------------------

export type AdvanceAnswer =
  | { readonly kind: 'advanced' }
  /** Somebody else was first: this is the batch now. */
  | { readonly kind: 'conflict'; readonly current: BatchDoc };

/** The journal: the only authority on what batches there are and what became of each. */
export interface BatchJournal {
  /** Writes generation 1, durable once resolved; `conflict` when there is a batch of that id. */
  create(doc: BatchDoc): Promise<AdvanceAnswer>;
  /** The newest generation; from a copy in Redis when there is one. Null = no such batch. */
  read(id: string): Promise<BatchDoc | null>;
  /** Writes the next generation if nobody else did. `next.generation` is `current.generation + 1`. */
  advance(next: BatchDoc): Promise<AdvanceAnswer>;
  /** Every batch of the store, newest generation; for reconcile. */
  all(signal: AbortSignal): AsyncIterable<BatchDoc>;
  /** Everything of this batch: journal, plan, rows, records. After retention only. */
  remove(id: string): Promise<void>;
  /** Called with each generation that this process wrote or heard of. Returns the way to stop. */
  onChange(listener: (doc: BatchDoc) => void): () => void;
}

// --- validation ----------------------------------------------------------------------------------------------------

export interface ValidationInput {
  readonly batchId: string;
  readonly identity: Identity;
  readonly endpoint: string;
  readonly wishes: BatchWishes;
  readonly file: StoredFile;
  readonly onlyRowsKey: string | null;
  /** Objective of rows that name none, from the batch, its metadata or its headers; null = the tenant's or pool's default. */
  readonly objective: string | null;
  /** Where the plan is written; null = nowhere (dry run). */
  readonly planKey: string | null;
}

export type ValidationResult =
  | { readonly kind: 'valid'; readonly plan: BatchPlan; readonly errors: readonly BatchError[] }
  | { readonly kind: 'invalid'; readonly errors: readonly BatchError[] };

/** Reads the whole file in a worker thread. Throws only for what is not the file's fault (store, abort). */
export type Validate = (
  input: ValidationInput,
  options: { readonly signal: AbortSignal; readonly onProgress: (percent: number) => void },
) => Promise<ValidationResult>;

// --- rows ----------------------------------------------------------------------------------------------------------

/** State of a row, one byte. Everything but `pending` is terminal and never changes again. */
export const ROW_STATES = ['pending', 'completed', 'failed', 'expired', 'cancelled'] as const;
export type RowState = (typeof ROW_STATES)[number];

/** Redis does not know this batch: its rows were never opened, or Redis lost them. Open them, then `RowWork.recover`. */
export class RowStatesLost extends Error {
  override readonly name = 'RowStatesLost';
  readonly batchId: string;

  constructor(batchId: string) {
    super(`Redis knows nothing of the rows of batch ${batchId}.`);
    this.batchId = batchId;
  }
}

export interface RowEnd {
  readonly place: number;
  readonly state: 'completed' | 'failed';
  readonly attempt: number;
  /** Synced. */
  readonly record: SegmentPlace;
  readonly usage: BatchUsage | null;
}

export interface RowWord {
  readonly state: RowState;
  readonly attempt: number;
  /** Null while pending, and for rows that ended without running. */
  readonly record: SegmentPlace | null;
}

/**
 * States of the rows of all batches, in Redis, one slot a batch, some 16 bytes a row. Throws `queue_unavailable` when Redis
 * does not answer, and `RowStatesLost` when it knows nothing of the batch (lost, or never opened).
 */
export interface RowStates {
  /** Makes all rows pending. Does nothing when the batch is there already. */
  open(batchId: string, rows: number, gate: RowGate): Promise<void>;
  setGate(batchId: string, gate: RowGate): Promise<void>;
  totals(batchId: string): Promise<RowTotals>;
  /** Words of places first..first+count−1. */
  words(batchId: string, first: number, count: number): Promise<readonly RowWord[]>;
  /**
   * First terminal state wins, row by row; nothing is taken once the gate is `closed`. Tells which of the ends stand (now, or
   * since an earlier call with the same record: repeating a call whose answer was lost does no harm), and the totals after them.
   */
  commit(
    batchId: string,
    ends: readonly RowEnd[],
  ): Promise<{ readonly counted: readonly boolean[]; readonly totals: RowTotals }>;
  /** Ends every row that is still pending, and sets the gate to `closed`. */
  closePending(batchId: string, state: 'expired' | 'cancelled'): Promise<RowTotals>;
  /** How often engines or connections broke while they ran this row; counts one more when `add` is set. */
  crashes(batchId: string, place: number, add: boolean): Promise<number>;
  drop(batchId: string): Promise<void>;
}

/** Header of a row record; its body is the finished line of the output or error file, without the line break. */
export interface RowRecord {
  readonly batchId: string;
  readonly place: number;
  readonly attempt: number;
  readonly state: 'completed' | 'failed';
  readonly usage: BatchUsage | null;
}

/** The record that these bytes of a segment are, as the recorder wrote it; undefined when they are torn or something else. */
export type DecodeRowRecord = (
  bytes: Uint8Array,
) => { readonly record: RowRecord; readonly line: Uint8Array } | undefined;

/** Why rows of a batch stopped making sense to run. */
export interface FailingBatch {
  readonly batchId: string;
  readonly message: string;
}

/** Runs the rows of batches, on this and other gateways. */
export interface RowWork {
  /**
   * Keeps the rows of this batch supplied to the backlog and its demand told to the ledgers, as the document says (pools,
   * objectives, deadline, pause). Idempotent; called for every generation while rows are pending, on the gateway that keeps it.
   */
  supply(doc: BatchDoc): Promise<void>;
  /** Takes its chunks out of the backlog and its demand out of the ledgers. Rows that run are left alone. */
  withdraw(doc: BatchDoc): Promise<void>;
  /** Another gateway keeps this batch now, or nobody has to: stops supplying it from here. Rows and chunks are left alone. */
  leave(batchId: string): void;
  /** Stops its rows that run, on every gateway. */
  abort(batchId: string): void;
  /** Commits row records that are synced but unknown to the states: after a crash, or a loss of Redis. Returns how many counted. */
  recover(doc: BatchDoc, signal: AbortSignal): Promise<number>;
  /** Rows of this batch that hold a slot or wait for one, in this process. */
  running(batchId: string): number;
  /** Totals moved, as far as this process knows. */
  onProgress(listener: (batchId: string, totals: RowTotals) => void): () => void;
  onFailing(listener: (failing: FailingBatch) => void): () => void;
}

/** One row as it is run. */
export interface RowSpec {
  /** Ticket id and `id` of its line: "batch_req_…". */
  readonly id: string;
  readonly tenant: string;
  readonly group: RowGroup;
  readonly acceptedAtEpochMs: number;
  readonly deadlineEpochMs: number;
  /** Estimated by validation. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
}

/** The request that a row's `body` stands for; the ingress knows how to make it. An error when its pool is gone. */
export type ToRowRequest = (row: RowSpec, body: Uint8Array) => DispatchRequest | PilotlightError;

// --- finalising and files ------------------------------------------------------------------------------------------

/** Assembles output and error file in input order. Repeatable: the same ids and bytes for the same ends of the rows. */
export type Finalise = (
  doc: BatchDoc,
  options: { readonly signal: AbortSignal; readonly onProgress: (percent: number) => void },
) => Promise<BatchFinal>;

/** Files as the batches need them. */
export interface FileCabinet {
  get(id: string, tenant: string): Promise<StoredFile>;
  read(file: StoredFile, range?: ByteRange, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Creates an output file under an id that is given; when it is there already, it stays as it is and is returned. */
  createOutput(
    file: {
      readonly id: string;
      readonly tenant: string;
      readonly filename: string;
      readonly expiresAfterMs: number | null;
    },
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<StoredFile>;
  /** Throws `file_not_found` when there is none, `file_in_use` while a batch reads it. */
  delete(id: string, tenant: string): Promise<void>;
  /** Keeps the file from being deleted or expiring while the batch reads it. */
  hold(fileId: string, batchId: string): Promise<void>;
  release(fileId: string, batchId: string): Promise<void>;
}
