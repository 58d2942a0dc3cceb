/**
 * Bytes under names, kept outside this process: bodies, rows, results, accept records. A folder for one gateway, an
 * S3-compatible bucket for several; one contract suite holds both.
 *
 * A key is 1..512 characters of `[0-9A-Za-z._-]` in segments joined by "/", no segment "." or "..". Callers' texts
 * (file names, ids they chose) never become part of a key. A key never ends where another goes on with "/": "a" and
 * "a/b" cannot both be.
 */
export interface BlobInfo {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedAtEpochMs: number;
}

/** First and last byte, both included. */
export interface ByteRange {
  readonly firstByte: number;
  readonly lastByte: number;
}

export interface PutOptions {
  readonly signal?: AbortSignal;
  /** A longer source is refused with `file_too_large` while it is read; nothing remains. */
  readonly maxBytes?: number;
  /** True: a key that exists stays as it is, and the answer is `exists`. Atomic, also between processes. */
  readonly ifAbsent?: boolean;
}

export type PutAnswer =
  | { readonly kind: 'stored'; readonly bytes: number }
  /** Only with `ifAbsent`. */
  | { readonly kind: 'exists' };

/**
 * Every failure of disk or service is thrown as PilotlightError `store_unavailable` (`store_full` when there is no room),
 * after the adapter's own short retries; an aborted signal throws its reason.
 */
export interface BlobStore {
  readonly kind: 'folder' | 's3';
  /**
   * Streams the source in with bounded memory and back-pressure. The blob is there, whole and synced, once this resolves;
   * before that no reader sees anything of it. An error or abort leaves nothing behind (stale parts are swept).
   */
  put(key: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<PutAnswer>;
  /** Null when there is no such blob. Bytes that were appended and synced by a SegmentLog may be read at once. */
  info(key: string): Promise<BlobInfo | null>;
  /** The bytes, or those of a range (cut at the end of the blob). Null when there is no such blob. */
  read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array> | null>;
  /** Small blobs and ranges, as one piece. Null when there is no such blob. */
  readAll(key: string, range?: ByteRange): Promise<Uint8Array | null>;
  /** No error when it is not there. Readers that have it open may go on. */
  delete(key: string): Promise<void>;
  /** Everything below `prefix` (which ends in "/" or is ''), in order of the keys, without temporary parts. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<BlobInfo>;
  /** A log of records under `prefix`. Each call is a new writer: two never write to one segment. */
  openLog(prefix: string, settings?: Partial<SegmentLogSettings>): SegmentLog;
  /** Removes what writers of earlier lives left unfinished (temporary files, multipart uploads) and is older than this. */
  sweepUnfinished(olderThanMs: number): Promise<number>;
  /** Bytes that can still be written, as far as anybody knows; null = unknown. */
  freeBytes(): Promise<number | null>;
  close(): Promise<void>;
}

export interface SegmentLogSettings {
  /** Longest time a record waits for others to share its sync. Default 2 ms; with S3 25 ms, as each sync is an object. */
  readonly gatherMs: number;
  /** This many bytes are written without waiting longer. */
  readonly batchBytes: number;
  /** Bytes that may wait for their sync; beyond it appends wait for room, up to `roomTimeoutMs`. */
  readonly pendingBytes: number;
  readonly roomTimeoutMs: number;
  /** A segment ends at this size or age. With S3 every batch of records is a segment of its own. */
  readonly segmentBytes: number;
  readonly segmentAgeMs: number;
}

/** Where a record lies. */
export interface SegmentPlace {
  /** Key of the segment: a blob. */
  readonly key: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Appends records, many to one sync (group commit). A segment's tail may be torn by a crash: readers check a CRC. */
export interface SegmentLog {
  /** Bytes that wait for their sync. */
  readonly pendingBytes: number;
  /**
   * Resolves once the record is synced. Throws `store_unavailable` (also for a full disk: the log works again by itself):
   * then it does not count, and everything is refused until a test write works.
   */
  append(record: readonly Uint8Array[]): Promise<SegmentPlace>;
  /** Syncs what is pending. Later appends throw `store_unavailable`. */
  close(): Promise<void>;
}
