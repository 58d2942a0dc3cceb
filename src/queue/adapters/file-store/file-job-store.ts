import { join } from 'node:path';
import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { Logger } from '../../../core/logger.ts';
import type { Random } from '../../../core/random.ts';
import type {
  JobStore,
  ReadAnswer,
  RecordHeader,
  RecordRef,
  ScannedRecord,
  ScanProgress,
  SweepReport,
} from '../../jobs/ports.ts';
import { type Disk, localDisk } from './disk.ts';
import { RecentRecords } from './recent-records.ts';
import { decodeHeader, decodePreamble, encodeRecord, isBodyIntact, PREAMBLE_BYTES } from './record.ts';
import { SegmentLog } from './segment-log.ts';
import { formatRef, parseRef, segmentPath, segmentText } from './segment-name.ts';
import { SegmentReaders } from './segment-readers.ts';
import { listSegments, type SegmentFile, scanSegment } from './segment-scan.ts';
import { sweepSegments } from './segment-sweep.ts';

export interface FileStoreOptions {
  /** Of the whole program; the store uses `<dataDir>/<installation>/jobs`. */
  readonly dataDir: string;
  readonly installation: string;
  /** Longest time a record waits for others to share its sync. Default 2 ms. */
  readonly gatherMs?: number;
  /** Default 4 MiB. */
  readonly batchBytes?: number;
  /** Bytes that may wait for their sync. Default 64 MiB. */
  readonly pendingBytes?: number;
  /** Default 10 s. */
  readonly roomTimeoutMs?: number;
  /** Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Default 1 h. Every process that shares the folder must use the same. */
  readonly segmentAgeMs?: number;
  /** Accept records kept in memory until they are read, so that a short wait needs no disk. Default 32 MiB. */
  readonly recentBytes?: number;
}

export interface FileStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly disk?: Disk;
}

const OPEN_READERS = 32;
/** Preamble and header of an accept or result record, with room to spare. */
const USUAL_HEAD_BYTES = 2_048;

/** The job store in a local folder: for one gateway, or several processes of one machine. Writes nothing before the first append. */
export class FileJobStore implements JobStore {
  readonly #folder: string;
  readonly #segmentAgeMs: number;
  readonly #segments: SegmentLog;
  readonly #readers: SegmentReaders;
  readonly #recent: RecentRecords;
  readonly #log: Logger;

  constructor(options: FileStoreOptions, { clock, random, log, disk = localDisk }: FileStoreDeps) {
    this.#folder = join(options.dataDir, options.installation, 'jobs');
    this.#segmentAgeMs = options.segmentAgeMs ?? 3_600_000;
    const settings = {
      gatherMs: options.gatherMs ?? 2,
      batchBytes: options.batchBytes ?? 4 * 1_048_576,
      pendingBytes: options.pendingBytes ?? 64 * 1_048_576,
      roomTimeoutMs: options.roomTimeoutMs ?? 10_000,
      segmentBytes: options.segmentBytes ?? 64 * 1_048_576,
      segmentAgeMs: this.#segmentAgeMs,
    };
    this.#segments = new SegmentLog(this.#folder, newRunName(clock, random), settings, { disk, clock });
    this.#readers = new SegmentReaders(this.#folder, OPEN_READERS);
    this.#recent = new RecentRecords(options.recentBytes ?? 32 * 1_048_576);
    this.#log = log.child({ part: 'file-store' });
  }

  /** Bytes that wait for their sync; the limit is `pendingBytes`. */
  get pendingBytes(): number {
    return this.#segments.pendingBytes;
  }

  async append(header: RecordHeader, body?: Uint8Array): Promise<RecordRef> {
    const record = encodeRecord(header, body);
    const ref = formatRef(await this.#segments.append(record));
    if (header.kind === 'accept') this.#recent.add(ref, header, record.body);
    return ref;
  }

  async read(ref: RecordRef): Promise<ReadAnswer> {
    const recent = this.#recent.take(ref);
    if (recent) return { kind: 'found', ...recent };
    const place = parseRef(ref);
    if (!place) return { kind: 'corrupt', why: 'the reference is not one of this store' };
    const bytes = await this.#readers.read(place.segment, place.offsetBytes, place.lengthBytes).catch(unreadable);
    if (!bytes) return { kind: 'gone' };
    const preamble = decodePreamble(bytes);
    const headBytes = PREAMBLE_BYTES + (preamble?.headerBytes ?? 0);
    const header = preamble && decodeHeader(bytes.subarray(0, headBytes));
    if (!preamble || !header) return { kind: 'corrupt', why: `no whole record at ${ref}` };
    const body = bytes.subarray(headBytes);
    if (!isBodyIntact(preamble, body)) return { kind: 'corrupt', why: `the body at ${ref} does not match its CRC` };
    return { kind: 'found', header, body };
  }

  async readHeader(ref: RecordRef): Promise<RecordHeader | null> {
    const recent = this.#recent.peek(ref);
    if (recent) return recent.header;
    const place = parseRef(ref);
    if (!place) return null;
    const read = (lengthBytes: number) =>
      this.#readers.read(place.segment, place.offsetBytes, lengthBytes).catch(unreadable);
    const start = await read(Math.min(place.lengthBytes, USUAL_HEAD_BYTES));
    const preamble = start && decodePreamble(start);
    if (!preamble) return null;
    const headBytes = PREAMBLE_BYTES + preamble.headerBytes;
    const head = start.byteLength >= headBytes ? start : await read(headBytes);
    return head && decodeHeader(head.subarray(0, headBytes));
  }

  async *scan(onProgress?: (progress: ScanProgress) => void, signal?: AbortSignal): AsyncGenerator<ScannedRecord> {
    const segments = await listSegments(this.#folder).catch(unreadable);
    const totalBytes = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let readBytes = 0;
    onProgress?.({ readBytes, totalBytes });
    for (const segment of segments) {
      yield* this.#scanOne(segment, signal);
      readBytes += segment.sizeBytes;
      onProgress?.({ readBytes, totalBytes });
    }
  }

  sweep(nowEpochMs: number, retentionMs: number): Promise<SweepReport> {
    return sweepSegments({
      folder: this.#folder,
      nowEpochMs,
      retentionMs,
      segmentAgeMs: this.#segmentAgeMs,
      append: (header) => this.append(header),
    }).catch(unreadable);
  }

  async close(): Promise<void> {
    await this.#segments.close();
    await this.#readers.close();
  }

  async *#scanOne(segment: SegmentFile, signal?: AbortSignal): AsyncGenerator<ScannedRecord> {
    const untilBytes = this.#segments.syncedBytes(segment.id) ?? segment.sizeBytes;
    const records = scanSegment(segmentPath(this.#folder, segment.id), untilBytes, { checkBodies: segment.isLast });
    for (;;) {
      signal?.throwIfAborted();
      const next = await records.next().catch((error: unknown) => endWhenMissing(error));
      if (next.done) {
        if (next.value && next.value.strayBytes > 0) this.#reportStray(segment, next.value.strayBytes);
        return;
      }
      const { header, offsetBytes, lengthBytes, bodyBytes } = next.value;
      yield { header, bodyBytes, ref: formatRef({ segment: segment.id, offsetBytes, lengthBytes }) };
    }
  }

  #reportStray(segment: SegmentFile, strayBytes: number): void {
    const fields = { segment: segmentText(segment.id), strayBytes };
    // At the end of a run it is the record that was being written when the process died: nobody was told it counts.
    if (segment.isLast) this.#log.info(fields, 'segment.tail_cut');
    else this.#log.error(fields, 'segment.damaged');
  }
}

/** Sorts by start; unique among processes that start in the same millisecond. */
function newRunName(clock: Clock, random: Random): string {
  const salt = Math.floor(random.next() * 36 ** 6);
  return clock.epochMs().toString(36).padStart(9, '0') + salt.toString(36).padStart(6, '0');
}

function endWhenMissing(error: unknown): { done: true; value: undefined } {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { done: true, value: undefined };
  return unreadable(error);
}

function unreadable(error: unknown): never {
  if (error instanceof PilotlightError) throw error;
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
  throw new PilotlightError('store_unavailable', `The file store cannot be read (${code}); check its disk.`, {
    cause: error,
  });
}
