import type { ByteRange } from '../../../core/blobs.ts';
import type { FilePart } from '../../../core/files.ts';

export interface PartSlice {
  readonly key: string;
  /** Null = all of the part. */
  readonly range: ByteRange | null;
  readonly bytes: number;
}

/** Which bytes of which parts make up a range of the whole, in order. The range is cut at the end. */
export function slicesOf(parts: readonly FilePart[], range: ByteRange | null): readonly PartSlice[] {
  const slices: PartSlice[] = [];
  let startByte = 0;
  for (const { key, bytes } of parts) {
    const firstByte = Math.max((range?.firstByte ?? 0) - startByte, 0);
    const lastByte = Math.min((range?.lastByte ?? Number.POSITIVE_INFINITY) - startByte, bytes - 1);
    if (firstByte <= lastByte) {
      const isWhole = firstByte === 0 && lastByte === bytes - 1;
      slices.push({ key, range: isWhole ? null : { firstByte, lastByte }, bytes: lastByte - firstByte + 1 });
    }
    startByte += bytes;
  }
  return slices;
}
