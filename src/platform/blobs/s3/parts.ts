/** 10,000 parts of this size are 78 GiB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). */
export const PART_BYTES = 8 * 1_048_576;
const FIRST_BUFFER_BYTES = 65_536;

export interface SourcePart {
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

/** The same bytes in pieces of exactly `partBytes`, the last one shorter or empty. At least one piece. */
export async function* inParts(
  source: AsyncIterable<Uint8Array>,
  partBytes = PART_BYTES,
): AsyncGenerator<SourcePart, undefined> {
  let part = Buffer.alloc(0);
  let filledBytes = 0;
  for await (const chunk of source) {
    for (let takenBytes = 0; takenBytes < chunk.byteLength; ) {
      // A full part is held until there is more: only then is it certain not to be the last.
      if (filledBytes === partBytes) {
        yield { bytes: part, isLast: false };
        part = Buffer.alloc(0);
        filledBytes = 0;
      }
      const roomBytes = Math.min(partBytes - filledBytes, chunk.byteLength - takenBytes);
      part = withRoom(part, filledBytes, filledBytes + roomBytes, partBytes);
      part.set(chunk.subarray(takenBytes, takenBytes + roomBytes), filledBytes);
      filledBytes += roomBytes;
      takenBytes += roomBytes;
    }
  }
  yield { bytes: part.subarray(0, filledBytes), isLast: true };
}

/** Grows by doubling: most blobs are small. */
function withRoom(part: Buffer, filledBytes: number, neededBytes: number, partBytes: number): Buffer<ArrayBuffer> {
  if (part.byteLength >= neededBytes) return part as Buffer<ArrayBuffer>;
  let sizeBytes = Math.max(FIRST_BUFFER_BYTES, part.byteLength);
  while (sizeBytes < neededBytes) sizeBytes *= 2;
  const grown = Buffer.allocUnsafeSlow(Math.min(sizeBytes, partBytes));
  grown.set(part.subarray(0, filledBytes));
  return grown;
}
