import type { DiskFile } from './disk.ts';
import { onDisk } from './disk-errors.ts';

/** Small chunks are written together. */
const GATHER_BYTES = 262_144;

/** Writes the chunks one after the other and syncs them; at most one is in hand. Returns how many bytes there were. */
export async function writeDraft(file: DiskFile, source: AsyncIterable<Uint8Array>): Promise<number> {
  const gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);
  let gatheredBytes = 0;
  let writtenBytes = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    await onDisk(() => file.write(bytes, writtenBytes));
    writtenBytes += bytes.byteLength;
  };
  for await (const chunk of source) {
    if (gatheredBytes + chunk.byteLength > GATHER_BYTES) {
      await write(gathered.subarray(0, gatheredBytes));
      gatheredBytes = 0;
    }
    if (chunk.byteLength >= GATHER_BYTES) {
      await write(chunk);
    } else {
      gathered.set(chunk, gatheredBytes);
      gatheredBytes += chunk.byteLength;
    }
  }
  await write(gathered.subarray(0, gatheredBytes));
  await onDisk(() => file.sync());
  return writtenBytes;
}
