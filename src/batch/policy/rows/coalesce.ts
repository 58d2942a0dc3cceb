export interface RowBytes {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Rows that are read in one go. */
export interface ReadBlock<Row extends RowBytes> {
  readonly rows: readonly Row[];
  readonly firstByte: number;
  readonly lastByte: number;
}

/** Bytes between two rows that are rather read and dropped than asked for apart. */
const MAX_GAP_BYTES = 65_536;

/**
 * Neighbouring rows in blocks of at most `maxBytes` (one row may be longer), in the order given. Every row is in exactly
 * one block.
 */
export function readBlocks<Row extends RowBytes>(rows: readonly Row[], maxBytes: number): ReadBlock<Row>[] {
  const blocks: { rows: Row[]; firstByte: number; lastByte: number }[] = [];
  for (const row of rows) {
    const lastByte = row.offsetBytes + row.lengthBytes - 1;
    const block = blocks.at(-1);
    const gapBytes = block ? row.offsetBytes - block.lastByte - 1 : 0;
    const fits = block && gapBytes >= 0 && gapBytes <= MAX_GAP_BYTES && lastByte - block.firstByte < maxBytes;
    if (fits) {
      block.rows.push(row);
      block.lastByte = lastByte;
    } else {
      blocks.push({ rows: [row], firstByte: row.offsetBytes, lastByte });
    }
  }
  return blocks;
}
