import type { BlobStore, SegmentLog, SegmentLogSettings } from '../../../core/blobs.ts';
import type { Logger } from '../../../core/logger.ts';
import { encodeRecord } from '../../../platform/blobs/record-codec.ts';
import { readRecord, readRecordHeader, type SegmentEnd } from '../../../platform/blobs/record-reader.ts';
import type {
  JobStore,
  ReadAnswer,
  RecordHeader,
  RecordRef,
  ScannedRecord,
  ScanProgress,
  SweepReport,
} from '../../jobs/ports.ts';
import { asRecordHeader, type JobSegment, listSegments, readSegments } from './job-segments.ts';
import { RecentRecords } from './recent-records.ts';
import { formatRef, JOBS_PREFIX, parseRef } from './record-ref.ts';
import { sweepSegments } from './sweep-segments.ts';

export interface BlobJobStoreOptions {
  /** `segmentAgeMs` must be the same for every process that shares the store. */
  readonly segments?: Partial<SegmentLogSettings>;
  /** Accept records kept in memory until they are read, so that a short wait needs no read. Default 32 MiB. */
  readonly recentBytes?: number;
}

export interface BlobJobStoreDeps {
  readonly blobs: BlobStore;
  readonly log: Logger;
}

const SEGMENT_AGE_MS = 3_600_000;
const RECENT_BYTES = 32 * 1_048_576;

/** The job store in the blob store of the installation: any number of processes share it. Writes nothing before the first append. */
export class BlobJobStore implements JobStore {
  readonly #blobs: BlobStore;
  readonly #segmentAgeMs: number;
  readonly #segments: SegmentLog;
  readonly #recent: RecentRecords;
  readonly #log: Logger;

  constructor({ segments, recentBytes = RECENT_BYTES }: BlobJobStoreOptions, { blobs, log }: BlobJobStoreDeps) {
    this.#blobs = blobs;
    this.#segmentAgeMs = segments?.segmentAgeMs ?? SEGMENT_AGE_MS;
    this.#segments = blobs.openLog(JOBS_PREFIX, { ...segments, segmentAgeMs: this.#segmentAgeMs });
    this.#recent = new RecentRecords(recentBytes);
    this.#log = log.child({ part: 'job-store' });
  }

  /** Bytes that wait for their sync; the limit is `pendingBytes`. */
  get pendingBytes(): number {
    return this.#segments.pendingBytes;
  }

  async append(header: RecordHeader, body?: Uint8Array): Promise<RecordRef> {
    const record = encodeRecord(header, body);
    const ref = formatRef(await this.#segments.append([record.head, record.body]));
    if (header.kind === 'accept') this.#recent.add(ref, header, record.body);
    return ref;
  }

  async read(ref: RecordRef): Promise<ReadAnswer> {
    const recent = this.#recent.take(ref);
    if (recent) return { kind: 'found', ...recent };
    const place = parseRef(ref);
    if (!place) return { kind: 'corrupt', why: 'the reference is not one of this store' };
    return readRecord(this.#blobs, place, asRecordHeader);
  }

  async readHeader(ref: RecordRef): Promise<RecordHeader | null> {
    const recent = this.#recent.peek(ref);
    if (recent) return recent.header;
    const place = parseRef(ref);
    return place && readRecordHeader(this.#blobs, place, asRecordHeader);
  }

  async *scan(onProgress?: (progress: ScanProgress) => void, signal?: AbortSignal): AsyncGenerator<ScannedRecord> {
    const segments = await listSegments(this.#blobs, signal);
    const totalBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0);
    let readBytes = 0;
    onProgress?.({ readBytes, totalBytes });
    const onEnd = (segment: JobSegment, end: SegmentEnd | null): void => {
      if (end && end.strayBytes > 0) this.#reportStray(segment, end.strayBytes);
      readBytes += segment.bytes;
      onProgress?.({ readBytes, totalBytes });
    };
    for await (const record of readSegments(this.#blobs, segments, { checkTails: true, onEnd, signal })) {
      const { header, offsetBytes, lengthBytes, bodyBytes, segment } = record;
      yield { header, bodyBytes, ref: formatRef({ key: segment.key, offsetBytes, lengthBytes }) };
    }
  }

  sweep(nowEpochMs: number, retentionMs: number): Promise<SweepReport> {
    return sweepSegments({
      blobs: this.#blobs,
      nowEpochMs,
      retentionMs,
      segmentAgeMs: this.#segmentAgeMs,
      append: (header) => this.append(header),
    });
  }

  /** The blob store stays open: it is not ours. */
  close(): Promise<void> {
    return this.#segments.close();
  }

  #reportStray(segment: JobSegment, strayBytes: number): void {
    const fields = { segment: segment.name, strayBytes };
    // At the end of a run it is the record that was being written when the process died: nobody was told it counts.
    if (segment.isLast) this.#log.info(fields, 'segment.tail_cut');
    else this.#log.error(fields, 'segment.damaged');
  }
}
