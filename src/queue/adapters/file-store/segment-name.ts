import { join } from 'node:path';

/**
 * Names of segments and records.
 *
 * A run is one life of one process; nobody else ever writes into its folder. A segment is `<run>/<created>.seg` with
 * its creation time, unique in the run, in base 36. In references it is written `<run>.<created>`, so that sorting
 * by creation needs no file access.
 */
const RUN = /^[0-9a-z]{9,32}$/;
const CREATED = /^[0-9a-z]{6,12}$/;
const SUFFIX = '.seg';

export interface SegmentId {
  readonly run: string;
  readonly createdEpochMs: number;
}

export interface RecordPlace {
  readonly segment: SegmentId;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export function segmentText({ run, createdEpochMs }: SegmentId): string {
  return `${run}.${createdEpochMs.toString(36)}`;
}

export function segmentPath(folder: string, { run, createdEpochMs }: SegmentId): string {
  return join(folder, run, createdEpochMs.toString(36) + SUFFIX);
}

export function isRunName(name: string): boolean {
  return RUN.test(name);
}

/** The segment that a file of a run's folder is, or null for foreign files. */
export function segmentOfFile(run: string, fileName: string): SegmentId | null {
  return fileName.endsWith(SUFFIX) ? segmentOf(run, fileName.slice(0, -SUFFIX.length)) : null;
}

/** "<run>.<created>:<offset>:<length>" */
export function formatRef({ segment, offsetBytes, lengthBytes }: RecordPlace): string {
  return `${segmentText(segment)}:${offsetBytes}:${lengthBytes}`;
}

/** Null for anything that `formatRef` would not write; so a reference can never leave the store's folder. */
export function parseRef(ref: string): RecordPlace | null {
  const [segmentPart, offset, length, ...rest] = ref.split(':');
  const [run, created, ...more] = (segmentPart ?? '').split('.');
  if (run === undefined || created === undefined || rest.length > 0 || more.length > 0) return null;
  const segment = segmentOf(run, created);
  const offsetBytes = wholeNumber(offset);
  const lengthBytes = wholeNumber(length);
  return segment && offsetBytes !== null && lengthBytes !== null ? { segment, offsetBytes, lengthBytes } : null;
}

function segmentOf(run: string, created: string): SegmentId | null {
  if (!RUN.test(run) || !CREATED.test(created)) return null;
  return { run, createdEpochMs: Number.parseInt(created, 36) };
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
