import type { BlobStore } from '../../../core/blobs.ts';
import { type ScannedSegmentRecord, type SegmentEnd, scanRecords } from '../../../platform/blobs/record-reader.ts';
import { segmentOfKey } from '../../../platform/blobs/segment-key.ts';
import type { RecordHeader } from '../../jobs/ports.ts';
import { JOBS_PREFIX, segmentName } from './record-ref.ts';

export interface JobSegment {
  readonly key: string;
  /** "<run>.<created>" */
  readonly name: string;
  readonly createdEpochMs: number;
  readonly bytes: number;
  readonly modifiedAtEpochMs: number;
  /** The newest of its run: only there can a tail be torn. */
  readonly isLast: boolean;
}

export interface JobRecord extends ScannedSegmentRecord<RecordHeader> {
  readonly segment: JobSegment;
}

export interface ReadSegmentsOptions {
  /** Whether the bodies of segments that may be torn are read and checked. */
  readonly checkTails: boolean;
  /** Called when a segment has been read to its end; `end` is null when it was removed meanwhile. */
  readonly onEnd: (segment: JobSegment, end: SegmentEnd | null) => void;
  readonly signal?: AbortSignal | undefined;
}

/** In a bucket each batch of records is an object, and asking for one takes some 20 ms: so many are asked for at once. */
const AHEAD = 16;
/** Larger segments are read piece by piece when it is their turn: bounds the memory to some 10 MB. */
const AHEAD_BYTES = 262_144;

const KINDS: ReadonlySet<unknown> = new Set<RecordHeader['kind']>(['accept', 'void', 'result', 'orphan', 'gone']);

/** The header of a record of jobs. The CRC vouches for the fields: this release, or an older one, wrote them. */
export function asRecordHeader(header: unknown): RecordHeader | null {
  return KINDS.has((header as { kind?: unknown }).kind) ? (header as RecordHeader) : null;
}

/** Every segment of every run, oldest first. */
export async function listSegments(blobs: BlobStore, signal?: AbortSignal): Promise<JobSegment[]> {
  const found: Omit<JobSegment, 'isLast'>[] = [];
  const newestOfRun = new Map<string, number>();
  for await (const { key, bytes, modifiedAtEpochMs } of blobs.list(JOBS_PREFIX, signal)) {
    const id = segmentOfKey(JOBS_PREFIX, key);
    if (!id) continue;
    const { run, createdEpochMs } = id;
    found.push({ key, name: segmentName(id), createdEpochMs, bytes, modifiedAtEpochMs });
    newestOfRun.set(run, Math.max(createdEpochMs, newestOfRun.get(run) ?? 0));
  }
  return found
    .map((segment) => ({ ...segment, isLast: newestOfRun.get(runOf(segment.name)) === segment.createdEpochMs }))
    .sort((a, b) => a.createdEpochMs - b.createdEpochMs);
}

/** The whole records of the segments, one segment after the other. One that was removed since it was listed has none. */
export async function* readSegments(
  blobs: BlobStore,
  segments: Iterable<JobSegment>,
  options: ReadSegmentsOptions,
): AsyncGenerator<JobRecord> {
  const ahead: Reading[] = [];
  for (const segment of segments) {
    ahead.push(begin(blobs, segment, options));
    if (ahead.length < AHEAD) continue;
    const next = ahead.shift();
    if (next) yield* finish(next, options);
  }
  for (const reading of ahead) yield* finish(reading, options);
}

interface Reading {
  readonly segment: JobSegment;
  readonly records: () => AsyncGenerator<ScannedSegmentRecord<RecordHeader>, SegmentEnd | null>;
  /** Of a small segment: all its records, on their way. */
  readonly all: Promise<Collected> | null;
}

interface Collected {
  readonly records: readonly ScannedSegmentRecord<RecordHeader>[];
  readonly end: SegmentEnd | null;
}

function begin(blobs: BlobStore, segment: JobSegment, { checkTails, signal }: ReadSegmentsOptions): Reading {
  const scanOptions = {
    untilBytes: segment.bytes,
    checkBodies: checkTails && segment.isLast,
    ...(signal ? { signal } : {}),
  };
  const records = () => scanRecords(blobs, segment.key, asRecordHeader, scanOptions);
  const all = segment.bytes <= AHEAD_BYTES ? collect(records()) : null;
  // It is awaited when it is its turn; if nobody comes so far, nobody asks.
  all?.catch(() => undefined);
  return { segment, records, all };
}

async function* finish(reading: Reading, { onEnd, signal }: ReadSegmentsOptions): AsyncGenerator<JobRecord> {
  const { segment, all } = reading;
  if (all) {
    const { records, end } = await all;
    for (const record of records) {
      signal?.throwIfAborted();
      yield { ...record, segment };
    }
    onEnd(segment, end);
    return;
  }
  const records = reading.records();
  for (;;) {
    const next = await records.next();
    if (next.done) {
      onEnd(segment, next.value);
      return;
    }
    yield { ...next.value, segment };
  }
}

async function collect(
  records: AsyncGenerator<ScannedSegmentRecord<RecordHeader>, SegmentEnd | null>,
): Promise<Collected> {
  const collected: ScannedSegmentRecord<RecordHeader>[] = [];
  for (;;) {
    const next = await records.next();
    if (next.done) return { records: collected, end: next.value };
    collected.push(next.value);
  }
}

function runOf(name: string): string {
  return name.slice(0, name.indexOf('.'));
}
