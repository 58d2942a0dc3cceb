import type { SegmentPlace } from '../../../core/blobs.ts';
import { type SegmentId, segmentKey, segmentOf, segmentOfKey } from '../../../platform/blobs/segment-key.ts';

/** Where the records of jobs are, in the store of the installation. */
export const JOBS_PREFIX = 'jobs/';

/** "<run>.<created>": a segment as references have it. Sorting by creation needs no look at the store. */
export function segmentName({ run, createdEpochMs }: SegmentId): string {
  return `${run}.${createdEpochMs.toString(36)}`;
}

/** "<run>.<created>:<offset>:<length>". The place must be one below `JOBS_PREFIX`. */
export function formatRef({ key, offsetBytes, lengthBytes }: SegmentPlace): string {
  const segment = segmentOfKey(JOBS_PREFIX, key);
  if (!segment) throw new TypeError(`${key} is not a segment of jobs`);
  return `${segmentName(segment)}:${offsetBytes}:${lengthBytes}`;
}

/** Null for anything that `formatRef` would not write; so a reference can never leave the jobs. */
export function parseRef(ref: string): (SegmentPlace & { readonly segment: SegmentId }) | null {
  const [segmentPart, offset, length, ...rest] = ref.split(':');
  const [run, created, ...more] = (segmentPart ?? '').split('.');
  if (run === undefined || created === undefined || rest.length > 0 || more.length > 0) return null;
  const segment = segmentOf(run, created);
  const offsetBytes = wholeNumber(offset);
  const lengthBytes = wholeNumber(length);
  if (!segment || offsetBytes === null || lengthBytes === null) return null;
  return { segment, key: segmentKey(JOBS_PREFIX, segment), offsetBytes, lengthBytes };
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
