const LINE_BYTES = 4;

/** Some lines of a file, by 0-based number. */
export interface LineSet {
  readonly size: number;
  has(line: number): boolean;
}

/** Reads a list of 4-byte little-endian numbers, in any order; RangeError when it ends within one. */
export function readLineSet(bytes: Uint8Array): LineSet {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let last = 0;
  for (let at = 0; at < bytes.length; at += LINE_BYTES) last = Math.max(last, view.getUint32(at, true));
  const bits = new Uint8Array((last >>> 3) + 1);
  let size = 0;
  for (let at = 0; at < bytes.length; at += LINE_BYTES) {
    const line = view.getUint32(at, true);
    const had = bits[line >>> 3] ?? 0;
    const bit = 1 << (line & 7);
    if ((had & bit) === 0) size += 1;
    bits[line >>> 3] = had | bit;
  }
  return { size, has: (line) => ((bits[line >>> 3] ?? 0) & (1 << (line & 7))) !== 0 };
}
