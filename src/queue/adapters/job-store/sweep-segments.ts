import type { BlobStore } from '../../../core/blobs.ts';
import type { RecordHeader, SweepReport } from '../../jobs/ports.ts';
import { planRetention, type SegmentFacts } from '../../policy/backlog/retention.ts';
import { type JobRecord, type JobSegment, listSegments, readSegments } from './job-segments.ts';
import { parseRef, segmentName } from './record-ref.ts';

export interface SweepInput {
  readonly blobs: BlobStore;
  readonly nowEpochMs: number;
  readonly retentionMs: number;
  /** An older segment is never written again, by any process. */
  readonly segmentAgeMs: number;
  readonly append: (header: RecordHeader) => Promise<unknown>;
}

/** For a write that began just before the segment's age limit, and for clocks of gateways that differ. */
const WRITE_MARGIN_MS = 600_000;
/** Jobs looked at in one sweep: bounds its memory to some 50 MB. The rest is for the next. */
const MAX_JOBS = 200_000;
const TOMBSTONE_IDS = 500;
/** In a bucket each takes some 20 ms. */
const DELETES_AT_ONCE = 16;

interface Candidate {
  readonly segment: JobSegment;
  readonly openIds: Set<string>;
  readonly endedElsewhere: Map<string, string[]>;
}

/**
 * Removes segments past retention in which every job has ended. Reads headers only. Safe in several processes at once:
 * a segment that its writer may still append to is left alone, and what two of them find they may both remove.
 */
export async function sweepSegments(input: SweepInput): Promise<SweepReport> {
  const segments = await listSegments(input.blobs);
  const candidates = await readCandidates(input, segments);
  await closeEndedJobs(input, segments, candidates);
  const facts: SegmentFacts[] = candidates.map(({ segment, openIds, endedElsewhere }) => ({
    segment: segment.name,
    openJobs: openIds.size,
    endedElsewhere,
  }));
  const plan = planRetention(facts, new Set(segments.map(({ name }) => name)), TOMBSTONE_IDS);
  for (const tombstone of plan.tombstones) await input.append({ kind: 'gone', ...tombstone });

  const going = new Set(plan.remove);
  const removed = segments.filter(({ name }) => going.has(name));
  for (let start = 0; start < removed.length; start += DELETES_AT_ONCE) {
    await Promise.all(removed.slice(start, start + DELETES_AT_ONCE).map(({ key }) => input.blobs.delete(key)));
  }
  return {
    removedSegments: removed.length,
    removedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0),
    keptSegments: segments.length - removed.length,
  };
}

async function readCandidates(input: SweepInput, segments: readonly JobSegment[]): Promise<Candidate[]> {
  const old = segments.filter(
    ({ createdEpochMs, modifiedAtEpochMs }) =>
      createdEpochMs + input.segmentAgeMs + WRITE_MARGIN_MS < input.nowEpochMs &&
      // Its newest record is as old as the file: with it every result inside is past retention.
      modifiedAtEpochMs + input.retentionMs < input.nowEpochMs,
  );
  const candidates: Candidate[] = [];
  let jobs = 0;
  let reading: Candidate | null = null;
  const candidateOf = (segment: JobSegment): Candidate => {
    if (reading?.segment !== segment) reading = { segment, openIds: new Set(), endedElsewhere: new Map() };
    return reading;
  };
  const onEnd = (segment: JobSegment): void => {
    const candidate = candidateOf(segment);
    candidates.push(candidate);
    jobs += candidate.openIds.size;
  };
  for await (const record of readSegments(input.blobs, old, { checkTails: false, onEnd })) {
    if (jobs >= MAX_JOBS) break;
    note(candidateOf(record.segment), record);
  }
  return candidates;
}

function note({ segment, openIds, endedElsewhere }: Candidate, { header }: JobRecord): void {
  if (header.kind === 'accept') openIds.add(header.spec.id);
  for (const { jobId, acceptSegment } of endsIn(header)) {
    if (acceptSegment === segment.name) continue;
    const ids = endedElsewhere.get(acceptSegment);
    if (ids) ids.push(jobId);
    else endedElsewhere.set(acceptSegment, [jobId]);
  }
}

/**
 * A job ends in its own segment or in a later one. As long as its result can be fetched it counts as open: its accept
 * record says what was asked.
 */
async function closeEndedJobs(
  { blobs, nowEpochMs, retentionMs }: SweepInput,
  segments: readonly JobSegment[],
  candidates: readonly Candidate[],
): Promise<void> {
  const byName = new Map(candidates.map((candidate) => [candidate.segment.name, candidate]));
  const oldestEpochMs = Math.min(...candidates.map(({ segment }) => segment.createdEpochMs));
  const later = segments.filter(({ createdEpochMs }) => createdEpochMs >= oldestEpochMs);
  let openJobs = candidates.reduce((sum, { openIds }) => sum + openIds.size, 0);
  if (openJobs === 0) return;
  for await (const { header } of readSegments(blobs, later, { checkTails: false, onEnd: () => undefined })) {
    if (header.kind === 'result' && header.finishedAtEpochMs + retentionMs >= nowEpochMs) continue;
    for (const { jobId, acceptSegment } of endsIn(header)) {
      if (byName.get(acceptSegment)?.openIds.delete(jobId)) openJobs -= 1;
    }
    if (openJobs === 0) return;
  }
}

interface JobEnd {
  readonly jobId: string;
  readonly acceptSegment: string;
}

/** The jobs that this record declares ended. */
function endsIn(header: RecordHeader): JobEnd[] {
  switch (header.kind) {
    case 'result':
      return endOf(header.jobId, header.job.acceptRef);
    case 'void':
      return endOf(header.jobId, header.acceptRef);
    case 'gone':
      return header.jobIds.map((jobId) => ({ jobId, acceptSegment: header.acceptSegment }));
    case 'accept':
    case 'orphan':
      return [];
  }
}

function endOf(jobId: string, acceptRef: string): JobEnd[] {
  const place = parseRef(acceptRef);
  return place ? [{ jobId, acceptSegment: segmentName(place.segment) }] : [];
}
