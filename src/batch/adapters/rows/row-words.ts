import { ROW_STATES, type RowEnd, type RowWord } from '../../ports.ts';

/** One word: state, attempt, number of the segment (4), offset in it (6), length of the record (4); big-endian. */
export const WORD_BYTES = 16;
const SEGMENT_AT = 2;
const OFFSET_AT = 6;
const LENGTH_AT = 12;
const OFFSET_BYTES = 6;

/** One end as the commit script reads it (lua/commit.lua). */
const ENTRY_BYTES = 34;
const USAGE_AT = 18;
const MAX_BYTE = 255;
const MAX_U32 = 4_294_967_295;

/** The ends in one piece, `keys` being the segments in the order of their indexes. */
export function encodeEnds(ends: readonly RowEnd[], keys: readonly string[]): Buffer {
  const indexes = new Map(keys.map((key, index) => [key, index]));
  const entries = Buffer.alloc(ends.length * ENTRY_BYTES);
  for (const [place, end] of ends.entries()) {
    const entry = entries.subarray(place * ENTRY_BYTES, (place + 1) * ENTRY_BYTES);
    const { inputTokens = 0, cachedTokens = 0, outputTokens = 0, reasoningTokens = 0 } = end.usage ?? {};
    entry.writeUInt32BE(end.place, 0);
    entry.writeUInt16BE(indexes.get(end.record.key) ?? 0, 4);
    entry.writeUInt8(ROW_STATES.indexOf(end.state), 6);
    entry.writeUInt8(Math.min(end.attempt, MAX_BYTE), 7);
    entry.writeUIntBE(end.record.offsetBytes, 8, OFFSET_BYTES);
    entry.writeUInt32BE(end.record.lengthBytes, 14);
    for (const [index, tokens] of [inputTokens, cachedTokens, outputTokens, reasoningTokens].entries()) {
      entry.writeUInt32BE(Math.min(Math.max(0, Math.trunc(tokens)), MAX_U32), USAGE_AT + 4 * index);
    }
  }
  return entries;
}

/** Highest segment number in the words; 0 = none has a record. */
export function highestSegment(words: Buffer): number {
  let highest = 0;
  for (let at = SEGMENT_AT; at < words.length; at += WORD_BYTES) highest = Math.max(highest, words.readUInt32BE(at));
  return highest;
}

/** The words as values; `keyOf` tells a segment's key by its number. */
export function decodeWords(words: Buffer, keyOf: (segment: number) => string): RowWord[] {
  return Array.from({ length: words.length / WORD_BYTES }, (_, index) => {
    const at = index * WORD_BYTES;
    const segment = words.readUInt32BE(at + SEGMENT_AT);
    const record =
      segment === 0
        ? null
        : {
            key: keyOf(segment),
            offsetBytes: words.readUIntBE(at + OFFSET_AT, OFFSET_BYTES),
            lengthBytes: words.readUInt32BE(at + LENGTH_AT),
          };
    return { state: ROW_STATES[words.readUInt8(at)] ?? 'pending', attempt: words.readUInt8(at + 1), record };
  });
}
