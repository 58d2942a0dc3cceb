/** What a sweep knows about a segment that may be removed. */
export interface SegmentFacts {
  /** "<run>.<created>" */
  readonly segment: string;
  /** Jobs accepted in it of which no end was found. */
  readonly openJobs: number;
  /** Jobs that ended in it and were accepted in another segment, by that segment. */
  readonly endedElsewhere: ReadonlyMap<string, readonly string[]>;
}

export interface RetentionPlan {
  readonly remove: readonly string[];
  /** To be written before anything is removed: else a job accepted in a segment that stays would look unfinished. */
  readonly tombstones: readonly { readonly acceptSegment: string; readonly jobIds: readonly string[] }[];
}

/**
 * Which of the segments past retention go. One goes when every job accepted in it has ended; what it says about jobs
 * of segments that stay is carried over as tombstones of at most `batchSize` ids. `present` = all segments there are.
 */
export function planRetention(
  candidates: readonly SegmentFacts[],
  present: ReadonlySet<string>,
  batchSize: number,
): RetentionPlan {
  const going = candidates.filter(({ openJobs }) => openJobs === 0);
  const goingNames = new Set(going.map(({ segment }) => segment));
  const carried = new Map<string, string[]>();
  for (const { endedElsewhere } of going) {
    for (const [acceptSegment, jobIds] of endedElsewhere) {
      if (goingNames.has(acceptSegment) || !present.has(acceptSegment)) continue;
      carried.set(acceptSegment, [...(carried.get(acceptSegment) ?? []), ...jobIds]);
    }
  }
  const tombstones = [...carried].flatMap(([acceptSegment, jobIds]) =>
    inBatches([...new Set(jobIds)], batchSize).map((batch) => ({ acceptSegment, jobIds: batch })),
  );
  return { remove: [...goingNames], tombstones };
}

function inBatches<T>(items: readonly T[], size: number): T[][] {
  const batches: T[][] = [];
  for (let start = 0; start < items.length; start += size) batches.push(items.slice(start, start + size));
  return batches;
}
