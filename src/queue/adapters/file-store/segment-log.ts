import type { Clock } from '../../../core/clock.ts';
import { asError, PilotlightError } from '../../../core/errors.ts';
import { formatBytes } from '../../../core/units.ts';
import type { Disk, LogFile } from './disk.ts';
import type { EncodedRecord } from './record.ts';
import { type RecordPlace, type SegmentId, segmentPath } from './segment-name.ts';

export interface LogSettings {
  /** Longest time a record waits for others to share its sync. */
  readonly gatherMs: number;
  /** A batch of this size is written without waiting longer. */
  readonly batchBytes: number;
  /** Bytes that may wait for their sync; beyond it appends wait for room. */
  readonly pendingBytes: number;
  /** Longest wait for room. */
  readonly roomTimeoutMs: number;
  /** A segment is closed at this size, or at this age: an older file is never written again. */
  readonly segmentBytes: number;
  readonly segmentAgeMs: number;
}

export interface LogDeps {
  readonly disk: Disk;
  readonly clock: Clock;
}

interface Pending {
  readonly record: EncodedRecord;
  readonly resolve: (place: RecordPlace) => void;
  readonly reject: (error: Error) => void;
}

interface OpenSegment {
  readonly id: SegmentId;
  readonly file: LogFile;
  readonly openedMonotonicMs: number;
  syncedBytes: number;
}

/** Between two test writes on a disk that failed. */
const PROBE_EVERY_MS = 1_000;

/**
 * Appends records to the segments of one run, many to one fdatasync (group commit).
 *
 * | state   | append                                     | leaves by                                                   |
 * | ------- | ------------------------------------------ | ----------------------------------------------------------- |
 * | working | resolves after the sync                    | a failed write or sync → failed; `close` → closed           |
 * | failed  | throws `store_unavailable`                 | the next append, at most once a second: the broken segment  |
 * |         |                                            | is cut back to what was synced and a test write works       |
 * | closed  | throws `store_unavailable`                 | –                                                           |
 *
 * After a failed fdatasync the kernel may have dropped the dirty pages and report success next time, so a segment
 * that failed once is never written again.
 */
export class SegmentLog {
  readonly #folder: string;
  readonly #run: string;
  readonly #settings: LogSettings;
  readonly #deps: LogDeps;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #segment: OpenSegment | null = null;
  #lastCreatedEpochMs = 0;
  #flushing: Promise<void> | null = null;
  #batchIsFull = new AbortController();
  #roomListeners: (() => void)[] = [];
  #failure: { why: string; broken: OpenSegment | null; nextProbeMs: number; probing: Promise<void> | null } | null =
    null;
  #isClosed = false;

  constructor(folder: string, run: string, settings: LogSettings, deps: LogDeps) {
    this.#folder = folder;
    this.#run = run;
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Bytes that wait for their sync. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** How much of a segment is synced; null when it is neither being written nor broken: then all of it is. */
  syncedBytes(segment: SegmentId): number | null {
    const current = this.#segment ?? this.#failure?.broken;
    if (current?.id.run !== segment.run || current.id.createdEpochMs !== segment.createdEpochMs) return null;
    return current.syncedBytes;
  }

  /** Where the record lies, once it is synced. Throws `store_unavailable`; then it does not count. */
  async append(record: EncodedRecord): Promise<RecordPlace> {
    if (this.#failure) await this.#recover();
    if (this.#pendingBytes + record.totalBytes > this.#settings.pendingBytes)
      await this.#waitForRoom(record.totalBytes);
    if (this.#isClosed) throw unavailable('it is closed');
    return new Promise((resolve, reject) => {
      this.#pending.push({ record, resolve, reject });
      this.#pendingBytes += record.totalBytes;
      if (this.#pendingBytes >= this.#settings.batchBytes) this.#batchIsFull.abort();
      this.#flushing ??= this.#flush();
    });
  }

  /** Syncs what is pending and closes the segment. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#batchIsFull.abort();
    await this.#flushing;
    await this.#segment?.file.close();
    this.#segment = null;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      await this.#gather();
      const batch = this.#takeBatch();
      try {
        await this.#write(batch);
      } catch (error) {
        this.#fail(batch, asError(error));
      }
      this.#pendingBytes -= bytesOf(batch);
      for (const listener of this.#roomListeners.splice(0)) listener();
    }
    this.#flushing = null;
  }

  async #gather(): Promise<void> {
    if (this.#isClosed || this.#pendingBytes >= this.#settings.batchBytes) return;
    this.#batchIsFull = new AbortController();
    await this.#deps.clock.sleep(this.#settings.gatherMs, this.#batchIsFull.signal).catch(() => undefined);
  }

  #takeBatch(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { record } of this.#pending) {
      if (count > 0 && bytes + record.totalBytes > this.#settings.batchBytes) break;
      bytes += record.totalBytes;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  async #write(batch: Pending[]): Promise<void> {
    const batchBytes = bytesOf(batch);
    const segment = await this.#segmentFor(batchBytes);
    const startBytes = segment.syncedBytes;
    await segment.file.write(Buffer.concat(batch.flatMap(({ record }) => [record.head, record.body])), startBytes);
    await segment.file.sync();
    segment.syncedBytes += batchBytes;
    let offsetBytes = startBytes;
    for (const { record, resolve } of batch) {
      resolve({ segment: segment.id, offsetBytes, lengthBytes: record.totalBytes });
      offsetBytes += record.totalBytes;
    }
  }

  async #segmentFor(batchBytes: number): Promise<OpenSegment> {
    const { clock, disk } = this.#deps;
    const current = this.#segment;
    if (current) {
      const isFull = current.syncedBytes > 0 && current.syncedBytes + batchBytes > this.#settings.segmentBytes;
      const isOld = clock.monotonicMs() - current.openedMonotonicMs >= this.#settings.segmentAgeMs;
      if (!isFull && !isOld) return current;
      this.#segment = null;
      await current.file.close();
    }
    const createdEpochMs = Math.max(clock.epochMs(), this.#lastCreatedEpochMs + 1);
    this.#lastCreatedEpochMs = createdEpochMs;
    const id = { run: this.#run, createdEpochMs };
    const file = await disk.create(segmentPath(this.#folder, id));
    this.#segment = { id, file, openedMonotonicMs: clock.monotonicMs(), syncedBytes: 0 };
    return this.#segment;
  }

  /** Nothing of the batch counts, and nothing behind it is tried: the disk has to prove itself first. */
  #fail(batch: Pending[], error: Error): void {
    const why = describe(error);
    this.#failure = { why, broken: this.#segment, nextProbeMs: this.#deps.clock.monotonicMs(), probing: null };
    this.#segment = null;
    const behind = this.#pending.splice(0);
    this.#pendingBytes -= bytesOf(behind);
    for (const { reject } of [...batch, ...behind]) reject(unavailable(why, error));
  }

  async #recover(): Promise<void> {
    const failure = this.#failure;
    if (!failure) return;
    const nowMs = this.#deps.clock.monotonicMs();
    if (!failure.probing && nowMs < failure.nextProbeMs) throw unavailable(failure.why);
    failure.nextProbeMs = nowMs + PROBE_EVERY_MS;
    failure.probing ??= this.#probe(failure).finally(() => {
      failure.probing = null;
    });
    try {
      await failure.probing;
    } catch (error) {
      failure.why = describe(asError(error));
      throw unavailable(failure.why, error);
    }
    if (this.#failure === failure) this.#failure = null;
  }

  /** Cuts off what was written but never acknowledged: a later reconcile must not take it for accepted. */
  async #probe(failure: { broken: OpenSegment | null }): Promise<void> {
    if (failure.broken) {
      await failure.broken.file.truncate(failure.broken.syncedBytes);
      await failure.broken.file.sync();
      await failure.broken.file.close();
      failure.broken = null;
    }
    await this.#deps.disk.probe(this.#folder);
  }

  async #waitForRoom(bytes: number): Promise<void> {
    const { clock } = this.#deps;
    const timeout = new AbortController();
    const untilMs = clock.monotonicMs() + this.#settings.roomTimeoutMs;
    const deadline = clock.sleep(this.#settings.roomTimeoutMs, timeout.signal).catch(() => undefined);
    // A record larger than the whole allowance passes when nothing else waits.
    while (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#settings.pendingBytes) {
      if (clock.monotonicMs() >= untilMs) {
        throw unavailable(`${formatBytes(this.#settings.pendingBytes)} wait for a slow disk (limit pendingBytes)`);
      }
      await Promise.race([deadline, new Promise<void>((resolve) => this.#roomListeners.push(resolve))]);
    }
    timeout.abort();
    if (this.#failure) throw unavailable(this.#failure.why);
  }
}

function bytesOf(batch: readonly Pending[]): number {
  return batch.reduce((sum, { record }) => sum + record.totalBytes, 0);
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full; free space there',
  EDQUOT: 'its disk quota is used up; raise it',
  EIO: 'its disk reports errors; check it',
  EROFS: 'its disk is read-only; remount it',
  EACCES: 'its folder is not writable; check the permissions',
};

function describe(error: Error & { code?: string }): string {
  const code = error.code ?? error.name;
  return `${REMEDIES[code] ?? 'a write failed'} (${code})`;
}

function unavailable(why: string, cause?: unknown): PilotlightError {
  return new PilotlightError(
    'store_unavailable',
    `The file store takes no records: ${why}. It is used again as soon as a test write works.`,
    { retryAfterMs: PROBE_EVERY_MS, ...(cause === undefined ? {} : { cause }) },
  );
}
