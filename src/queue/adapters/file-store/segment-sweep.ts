import { rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordHeader, SweepReport } from '../../jobs/ports.ts';
import { planRetention, type SegmentFacts } from '../../policy/backlog/retention.ts';
import { parseRef, segmentPath, segmentText } from './segment-name.ts';
import { ignoreMissing, listSegments, type SegmentFile, scanSegment } from './segment-scan.ts';

export interface SweepInput {
  readonly folder: string;
  readonly nowEpochMs: number;
  readonly retentionMs: number;
  /** An older segment is never written again, by any process. */
  readonly segmentAgeMs: number;
  readonly append: (header: RecordHeader) => Promise<unknown>;
}

/** For a write that began just before the segment's age limit. */
const WRITE_MARGIN_MS = 600_000;
/** Jobs looked at in one sweep: bounds its memory to some 50 MB. The rest is for the next. */
const MAX_JOBS = 200_000;
const TOMBSTONE_IDS = 500;

interface Candidate {
  readonly file: SegmentFile;
  readonly openIds: Set<string>;
  readonly endedElsewhere: Map<string, string[]>;
}

/** Removes segments past retention in which every job has ended. Reads headers only; safe to run in several processes. */
export async function sweepSegments(input: SweepInput): Promise<SweepReport> {
  const segments = await listSegments(input.folder);
  const candidates = await readCandidates(input, segments);
  await closeEndedJobs(input, segments, candidates);
  const facts: SegmentFacts[] = candidates.map(({ file, openIds, endedElsewhere }) => ({
    segment: segmentText(file.id),
    openJobs: openIds.size,
    endedElsewhere,
  }));
  const plan = planRetention(facts, new Set(segments.map(({ id }) => segmentText(id))), TOMBSTONE_IDS);
  for (const tombstone of plan.tombstones) await input.append({ kind: 'gone', ...tombstone });

  const going = new Set(plan.remove);
  const removed = segments.filter(({ id }) => going.has(segmentText(id)));
  for (const { id } of removed) await unlink(segmentPath(input.folder, id)).catch(ignoreMissing);
  await removeEmptyRuns(input.folder, removed);
  return {
    removedSegments: removed.length,
    removedBytes: removed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    keptSegments: segments.length - removed.length,
  };
}

async function readCandidates(input: SweepInput, segments: readonly SegmentFile[]): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  let jobs = 0;
  for (const file of segments) {
    const isFinal = file.id.createdEpochMs + input.segmentAgeMs + WRITE_MARGIN_MS < input.nowEpochMs;
    // Its newest record is as old as the file: with it every result inside is past retention.
    const isPast = file.modifiedEpochMs + input.retentionMs < input.nowEpochMs;
    if (!isFinal || !isPast || jobs >= MAX_JOBS) continue;
    const candidate = await readCandidate(input.folder, file);
    jobs += candidate.openIds.size;
    candidates.push(candidate);
  }
  return candidates;
}

async function readCandidate(folder: string, file: SegmentFile): Promise<Candidate> {
  const candidate: Candidate = { file, openIds: new Set(), endedElsewhere: new Map() };
  const own = segmentText(file.id);
  for await (const header of headersOf(folder, file)) {
    if (header.kind === 'accept') candidate.openIds.add(header.spec.id);
    for (const { jobId, acceptSegment } of endsIn(header)) {
      if (acceptSegment === own) continue;
      const ids = candidate.endedElsewhere.get(acceptSegment);
      if (ids) ids.push(jobId);
      else candidate.endedElsewhere.set(acceptSegment, [jobId]);
    }
  }
  return candidate;
}

/**
 * A job ends in its own segment or in a later one. As long as its result can be fetched it counts as open: its accept
 * record says what was asked.
 */
async function closeEndedJobs(
  { folder, nowEpochMs, retentionMs }: SweepInput,
  segments: readonly SegmentFile[],
  candidates: Candidate[],
): Promise<void> {
  const byName = new Map(candidates.map((candidate) => [segmentText(candidate.file.id), candidate]));
  const oldestEpochMs = Math.min(...candidates.map(({ file }) => file.id.createdEpochMs));
  for (const file of segments) {
    if (file.id.createdEpochMs < oldestEpochMs) continue;
    if (candidates.every(({ openIds }) => openIds.size === 0)) return;
    for await (const header of headersOf(folder, file)) {
      if (header.kind === 'result' && header.finishedAtEpochMs + retentionMs >= nowEpochMs) continue;
      for (const { jobId, acceptSegment } of endsIn(header)) byName.get(acceptSegment)?.openIds.delete(jobId);
    }
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
  return place ? [{ jobId, acceptSegment: segmentText(place.segment) }] : [];
}

async function* headersOf(folder: string, file: SegmentFile): AsyncGenerator<RecordHeader> {
  const records = scanSegment(segmentPath(folder, file.id), file.sizeBytes, { checkBodies: false });
  try {
    for await (const { header } of records) yield header;
  } catch (error) {
    ignoreMissing(error as NodeJS.ErrnoException);
  }
}

async function removeEmptyRuns(folder: string, removed: readonly SegmentFile[]): Promise<void> {
  for (const run of new Set(removed.map(({ id }) => id.run))) {
    // Not empty yet, or just used again by its process, which then creates it anew.
    await rmdir(join(folder, run)).catch(() => undefined);
  }
}
