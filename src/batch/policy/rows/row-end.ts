import type { SegmentPlace } from '../../../core/blobs.ts';

export function isSamePlace(one: SegmentPlace, other: SegmentPlace): boolean {
  return one.offsetBytes === other.offsetBytes && one.key === other.key && one.lengthBytes === other.lengthBytes;
}
