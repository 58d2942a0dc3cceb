import type { SegmentLog, SegmentLogSettings, SegmentPlace } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';
import { segmentKey } from './segment-key.ts';

/** What a log does to the place where its segments are, so that a folder and a bucket have one log. */
export interface SegmentMedium {
  /** True: a segment is written and synced once, as a whole. */
  readonly oneBatchPerSegment: boolean;
  /** Creates a segment that must not exist. */
  create(key: string): Promise<SegmentWriter>;
  /** Resolves when something can be written and synced below the prefix. */
  probe(prefix: string): Promise<void>;
  /** What went wrong and what to do about it, for people. */
  describe(error: Error): string;
}

export interface SegmentWriter {
  /** Writes all of it, or rejects; then any part of it may be there. */
  write(bytes: Uint8Array, positionBytes: number): Promise<void>;
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface LogDeps {
  readonly medium: SegmentMedium;
  readonly clock: Clock;
  /** Called once the log is closed. */
  readonly onClosed: () => void;
}

interface Pending {
  readonly record: readonly Uint8Array[];
  readonly bytes: number;
  readonly resolve: (place: SegmentPlace) => void;
  readonly reject: (error: Error) => void;
}

interface OpenSegment {
  readonly key: string;
  readonly writer: SegmentWriter;
  readonly openedMonotonicMs: number;
  syncedBytes: number;
}

interface Failure {
  why: string;
  broken: OpenSegment | null;
  nextProbeMs: number;
  probing: Promise<void> | null;
}

/** Between two test writes on a medium that failed. */
const PROBE_EVERY_MS = 1_000;

/**
 * Appends records to the segments of one run, many to one sync (group commit).
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
export class GroupCommitLog implements SegmentLog {
  readonly #prefix: string;
  readonly #run: string;
  readonly #settings: SegmentLogSettings;
  readonly #deps: LogDeps;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #segment: OpenSegment | null = null;
  #lastCreatedEpochMs = 0;
  #flushing: Promise<void> | null = null;
  #batchIsFull = new AbortController();
  #roomListeners: (() => void)[] = [];
  #failure: Failure | null = null;
  #isClosed = false;

  constructor(prefix: string, run: string, settings: SegmentLogSettings, deps: LogDeps) {
    this.#prefix = prefix;
    this.#run = run;
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Bytes that wait for their sync. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** How much of a segment is synced; null when it is neither being written nor broken: then all of it is. */
  syncedBytes(key: string): number | null {
    const current = this.#segment ?? this.#failure?.broken;
    return current?.key === key ? current.syncedBytes : null;
  }

  async append(record: readonly Uint8Array[]): Promise<SegmentPlace> {
    const bytes = record.reduce((sum, part) => sum + part.byteLength, 0);
    if (this.#failure) await this.#recover();
    if (this.#pendingBytes + bytes > this.#settings.pendingBytes) await this.#waitForRoom(bytes);
    if (this.#isClosed) throw unavailable('it is closed');
    return new Promise((resolve, reject) => {
      this.#pending.push({ record, bytes, resolve, reject });
      this.#pendingBytes += bytes;
      if (this.#pendingBytes >= this.#settings.batchBytes) this.#batchIsFull.abort();
      this.#flushing ??= this.#flush();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#batchIsFull.abort();
    await this.#flushing;
    const segment = this.#segment;
    this.#segment = null;
    // Best effort: what cannot be cut off now was never acknowledged, but the next life may find it whole.
    if (this.#failure) await cutBack(this.#failure).catch(() => undefined);
    await segment?.writer.close();
    this.#deps.onClosed();
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
    for (const pending of this.#pending) {
      if (count > 0 && bytes + pending.bytes > this.#settings.batchBytes) break;
      bytes += pending.bytes;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  async #write(batch: Pending[]): Promise<void> {
    const batchBytes = bytesOf(batch);
    const segment = await this.#segmentFor(batchBytes);
    const startBytes = segment.syncedBytes;
    await segment.writer.write(Buffer.concat(batch.flatMap(({ record }) => [...record])), startBytes);
    await segment.writer.sync();
    segment.syncedBytes += batchBytes;
    let offsetBytes = startBytes;
    for (const { bytes, resolve } of batch) {
      resolve({ key: segment.key, offsetBytes, lengthBytes: bytes });
      offsetBytes += bytes;
    }
  }

  async #segmentFor(batchBytes: number): Promise<OpenSegment> {
    const { clock, medium } = this.#deps;
    const current = this.#segment;
    if (current) {
      if (!this.#isDone(current, batchBytes)) return current;
      this.#segment = null;
      await current.writer.close();
    }
    const createdEpochMs = Math.max(clock.epochMs(), this.#lastCreatedEpochMs + 1);
    this.#lastCreatedEpochMs = createdEpochMs;
    const key = segmentKey(this.#prefix, { run: this.#run, createdEpochMs });
    const writer = await medium.create(key);
    this.#segment = { key, writer, openedMonotonicMs: clock.monotonicMs(), syncedBytes: 0 };
    return this.#segment;
  }

  #isDone({ syncedBytes, openedMonotonicMs }: OpenSegment, batchBytes: number): boolean {
    const { clock, medium } = this.#deps;
    const { segmentBytes, segmentAgeMs } = this.#settings;
    const isFull = syncedBytes > 0 && (medium.oneBatchPerSegment || syncedBytes + batchBytes > segmentBytes);
    return isFull || clock.monotonicMs() - openedMonotonicMs >= segmentAgeMs;
  }

  /** Nothing of the batch counts, and nothing behind it is tried: the medium has to prove itself first. */
  #fail(batch: Pending[], error: Error): void {
    const why = this.#deps.medium.describe(error);
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
      failure.why = this.#deps.medium.describe(asError(error));
      throw unavailable(failure.why, error);
    }
    if (this.#failure === failure) this.#failure = null;
  }

  async #probe(failure: Failure): Promise<void> {
    await cutBack(failure);
    await this.#deps.medium.probe(this.#prefix);
  }

  async #waitForRoom(bytes: number): Promise<void> {
    const { clock } = this.#deps;
    const timeout = new AbortController();
    const untilMs = clock.monotonicMs() + this.#settings.roomTimeoutMs;
    const deadline = clock.sleep(this.#settings.roomTimeoutMs, timeout.signal).catch(() => undefined);
    // A record larger than the whole allowance passes when nothing else waits.
    while (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#settings.pendingBytes) {
      if (clock.monotonicMs() >= untilMs) {
        throw unavailable(`${formatBytes(this.#settings.pendingBytes)} wait for a slow store (limit pendingBytes)`);
      }
      await Promise.race([deadline, new Promise<void>((resolve) => this.#roomListeners.push(resolve))]);
    }
    timeout.abort();
    if (this.#failure) throw unavailable(this.#failure.why);
  }
}

/** Cuts off what was written but never acknowledged: a later reader must not take it for synced. */
async function cutBack(failure: Failure): Promise<void> {
  const { broken } = failure;
  if (!broken) return;
  await broken.writer.truncate(broken.syncedBytes);
  await broken.writer.sync();
  await broken.writer.close();
  failure.broken = null;
}

function bytesOf(batch: readonly Pending[]): number {
  return batch.reduce((sum, { bytes }) => sum + bytes, 0);
}

function unavailable(why: string, cause?: unknown): PilotlightError {
  return new PilotlightError(
    'store_unavailable',
    `The store takes no records: ${why}. It is used again as soon as a test write works.`,
    { retryAfterMs: PROBE_EVERY_MS, ...(cause === undefined ? {} : { cause }) },
  );
}
