import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';

/**
 * Keys of segments: `<prefix><run>/<created>.seg`. A run is one life of one writer; nobody else ever writes under its
 * name. A segment is named by its creation time, unique in the run, in base 36.
 */
export interface SegmentId {
  readonly run: string;
  readonly createdEpochMs: number;
}

const RUN = /^[0-9a-z]{9,32}$/;
const CREATED = /^[0-9a-z]{6,12}$/;
const SUFFIX = '.seg';
const SALT_CHARS = 6;

/** Sorts by start; unique among writers that start in the same millisecond. */
export function newRunName(clock: Clock, random: Random): string {
  const salt = Math.floor(random.next() * 36 ** SALT_CHARS);
  return clock.epochMs().toString(36).padStart(9, '0') + salt.toString(36).padStart(SALT_CHARS, '0');
}

export function segmentKey(prefix: string, { run, createdEpochMs }: SegmentId): string {
  return `${prefix}${run}/${createdEpochMs.toString(36)}${SUFFIX}`;
}

/** The segment that a key is, or null for what no log wrote under this prefix. */
export function segmentOfKey(prefix: string, key: string): SegmentId | null {
  if (!key.startsWith(prefix) || !key.endsWith(SUFFIX)) return null;
  const [run, created, ...rest] = key.slice(prefix.length, -SUFFIX.length).split('/');
  return run === undefined || created === undefined || rest.length > 0 ? null : segmentOf(run, created);
}

/** Null for names that no log gives. */
export function segmentOf(run: string, created: string): SegmentId | null {
  if (!RUN.test(run) || !CREATED.test(created)) return null;
  return { run, createdEpochMs: Number.parseInt(created, 36) };
}

/** Whether a key is that of a segment: appended to by one writer, never written anew under the same name. */
export function isSegmentKey(key: string): boolean {
  return key.endsWith(SUFFIX);
}
