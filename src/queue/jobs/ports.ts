import type { DispatchRequest } from '../../core/dispatch.ts';
import type { PilotlightError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/jobs.ts';
import type { OrderControl, StoredLedger } from '../../core/live-order.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Backlog, BacklogTags } from '../backlog/ports.ts';
import type { FormerOrder } from './former-orders.ts';

/** Where a record lies; opaque outside the store's adapter. At most 128 characters, safe inside a Redis value. */
export type RecordRef = string;

/** An accepted job. Its body is the request to forward. */
export interface AcceptRecord {
  readonly kind: 'accept';
  readonly spec: JobSpec;
}

/**
 * The accept record of this id does not count any more: the job never reached the backlog and its caller was told so, or
 * its owner deleted it.
 */
export interface VoidRecord {
  readonly kind: 'void';
  readonly jobId: string;
  readonly acceptRef: RecordRef;
}

/** What came out of a job. Its body is the answer the caller gets. */
export interface ResultRecord {
  readonly kind: 'result';
  readonly jobId: string;
  /**
   * Which execution wrote it: 1 for the first claim from the backlog, 0 for an outcome that was decided without one
   * (cancelled, expired, quarantined). Of several records of one job the lowest attempt counts.
   */
  readonly attempt: number;
  readonly outcome: Outcome;
  readonly contentType: string;
  readonly finishedAtEpochMs: number;
  /** Enough to find the job again after Redis lost its index. */
  readonly job: JobPlace;
}

/** The result record `resultRef` of this job lost against another outcome. */
export interface OrphanRecord {
  readonly kind: 'orphan';
  readonly jobId: string;
  readonly resultRef: RecordRef;
}

/** These jobs have ended and their results are past retention; written before the results are removed. */
export interface GoneRecord {
  readonly kind: 'gone';
  readonly jobIds: readonly string[];
  /** Segment of their accept records, which outlives their results. */
  readonly acceptSegment: string;
}

export type RecordHeader = AcceptRecord | VoidRecord | ResultRecord | OrphanRecord | GoneRecord;

/** What the index keeps of a job: where to find everything else. */
export interface JobPlace {
  readonly pool: PoolKey;
  readonly objective: string;
  readonly tenant: string;
  readonly acceptRef: RecordRef;
  readonly acceptedAtEpochMs: number;
  /** Of the request. */
  readonly bodyBytes: number;
  /** Somebody is told of its end. */
  readonly announced?: boolean;
}

export type ReadAnswer =
  | { readonly kind: 'found'; readonly header: RecordHeader; readonly body: Uint8Array }
  /** Removed after retention, or never there. */
  | { readonly kind: 'gone' }
  /** There, but not what was written. */
  | { readonly kind: 'corrupt'; readonly why: string };

export interface ScannedRecord {
  readonly ref: RecordRef;
  readonly header: RecordHeader;
  readonly bodyBytes: number;
}

export interface ScanProgress {
  readonly readBytes: number;
  readonly totalBytes: number;
}

export interface SweepReport {
  readonly removedSegments: number;
  readonly removedBytes: number;
  readonly keptSegments: number;
}

/** The only authority on what was accepted and what came out. Append-only; every record is synced before it counts. */
export interface JobStore {
  /**
   * Resolves once the record is synced. Throws `store_unavailable` when it cannot be: then it does not count. After a
   * failed write everything is refused until a test write works.
   */
  append(header: RecordHeader, body?: Uint8Array): Promise<RecordRef>;
  /** One record, checked against its CRC. Throws `store_unavailable` when the disk cannot be read. */
  read(ref: RecordRef): Promise<ReadAnswer>;
  /** The same without the body, and without checking it; null when it is gone or damaged. */
  readHeader(ref: RecordRef): Promise<RecordHeader | null>;
  /** Every whole record of every process, oldest segment first, without bodies. A torn tail is passed over. */
  scan(onProgress?: (progress: ScanProgress) => void, signal?: AbortSignal): AsyncIterable<ScannedRecord>;
  /** Removes segments in which every job has ended and every result is older than `retentionMs`. */
  sweep(nowEpochMs: number, retentionMs: number): Promise<SweepReport>;
  /** Syncs what is pending and closes files. Later calls throw `store_unavailable`. */
  close(): Promise<void>;
}

/** Job id → place. An index only: reconcile rebuilds it from the store. Failures of Redis throw as they come. */
export interface JobIndex {
  /** Kept until `expire`, or for `ttlMs` when it has ended already. */
  put(id: string, place: JobPlace, ttlMs?: number): Promise<void>;
  get(id: string): Promise<JobPlace | null>;
  /** Those of the ids that it does not know. */
  missing(ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** They are terminal: forget them after `ttlMs`. */
  expire(ids: readonly string[], ttlMs: number): Promise<void>;
}

/** News that another process may want; may be lost, so nobody relies on it. */
export type JobHint = { readonly kind: 'settled' | 'cancelled'; readonly ids: readonly string[] };

export interface JobHints {
  publish(hint: JobHint): void;
  onHint(listener: (hint: JobHint) => void): () => void;
}

/** A job that failed for good. */
export interface DeadEntry {
  readonly id: string;
  readonly objective: string;
  readonly endedAtEpochMs: number;
}

/**
 * The failed jobs of one pool, each until its retention is over. An index only: an entry may be there too long, so whoever
 * reads it checks the outcome; reconcile brings back what is missing. Failures of Redis throw as they come.
 */
export interface DeadLetterIndex {
  add(entries: readonly DeadEntry[]): Promise<void>;
  remove(entries: readonly Omit<DeadEntry, 'endedAtEpochMs'>[]): Promise<void>;
  has(entry: Omit<DeadEntry, 'endedAtEpochMs'>): Promise<boolean>;
  /** By name. */
  objectives(): Promise<readonly string[]>;
  count(objective: string): Promise<number>;
  /** Oldest first, from behind `after`; one that is there no more is taken for the first of its time. */
  page(objective: string, after: Omit<DeadEntry, 'objective'> | null, limit: number): Promise<readonly DeadEntry[]>;
}

/** One pool's stored work. */
export interface JobLane {
  readonly ledger: StoredLedger;
  readonly backlog: Backlog;
  /** Where jobs that failed are listed; absent = nowhere. */
  readonly dead?: DeadLetterIndex;
  /** Fair order between tenants; absent = by arrival. */
  readonly tags?: BacklogTags;
  /** Of earlier releases; absent = none. */
  readonly former?: readonly FormerOrder[];
  /** Tells the place of a job in the live order; absent = nobody does. */
  readonly order?: Pick<OrderControl, 'find'>;
}

/** The lane of a pool; undefined when the pool is not served here. */
export type Lanes = (pool: PoolKey) => JobLane | undefined;

/** The request that a stored body stands for; the ingress knows how to make it. An error when its pool is gone. */
export type ToRequest = (spec: JobSpec, body: Uint8Array) => DispatchRequest | PilotlightError;

/** One execution of a stored job. */
export interface StoredRun {
  readonly spec: JobSpec;
  readonly body: Uint8Array;
  /** 1 for its first claim from the backlog. */
  readonly attempt: number;
  readonly place: JobPlace;
  /** To be called when it gets a slot: until then it only waits, and may be handed back at no cost. */
  readonly onSlot: () => void;
  /** Aborts the signal of this execution. */
  readonly abort: (reason: Error) => void;
}

export type ExecutionVerdict =
  /** Its result is synced and its outcome is in the ledger. */
  | { readonly kind: 'settled'; readonly outcome: Outcome }
  /** Cancelled or expired before it ran: the outcome has still to be told. */
  | { readonly kind: 'decided'; readonly outcome: Outcome }
  /** It had its outcome already; null = another process is executing it. */
  | { readonly kind: 'superseded'; readonly outcome: Outcome | null }
  /** No outcome and no attempt used. `delayMs`: it cannot run before; absent = it may be looked at again soon. */
  | { readonly kind: 'handed_back'; readonly reason: string; readonly delayMs?: number };

/** Enters the job into the live order, runs it, makes its result durable, settles it. May throw `store_unavailable`. */
export type Execute = (run: StoredRun, signal: AbortSignal) => Promise<ExecutionVerdict>;
