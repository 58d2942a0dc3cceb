/** Bytes that are wanted out of one of several sources. */
export interface Wanted {
  readonly source: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** One read that covers several of them, given by their index. */
export interface ReadSpan {
  readonly source: string;
  readonly firstByte: number;
  readonly lastByte: number;
  readonly wanted: readonly number[];
}

/** Bytes between two pieces that are read in vain rather than asking twice; a thousand of them still fit into memory. */
const MAX_GAP_BYTES = 16_384;
/** A span is not made longer than this; a longer piece is a span of its own. */
const MAX_SPAN_BYTES = 4_194_304;

/** The fewest reads for these pieces: neighbours together. Every index is in exactly one span. */
export function planReads(wanted: readonly Wanted[]): readonly ReadSpan[] {
  const order = wanted.map((piece, index) => ({ ...piece, index }));
  order.sort((a, b) => (a.source === b.source ? a.offsetBytes - b.offsetBytes : a.source < b.source ? -1 : 1));
  const spans: { source: string; firstByte: number; lastByte: number; wanted: number[] }[] = [];
  for (const { source, offsetBytes, lengthBytes, index } of order) {
    const lastByte = offsetBytes + lengthBytes - 1;
    const span = spans.at(-1);
    const isNeighbour =
      span?.source === source &&
      offsetBytes - span.lastByte <= MAX_GAP_BYTES &&
      Math.max(lastByte, span.lastByte) - span.firstByte < MAX_SPAN_BYTES;
    if (span && isNeighbour) {
      span.lastByte = Math.max(span.lastByte, lastByte);
      span.wanted.push(index);
    } else {
      spans.push({ source, firstByte: offsetBytes, lastByte, wanted: [index] });
    }
  }
  return spans;
}

/** Cuts a list into runs of at most `maxBytes` and `maxItems`; one longer piece is a run of its own. Order is kept. */
export function runsOf<Item extends { readonly lengthBytes: number }>(
  items: readonly Item[],
  maxBytes: number,
  maxItems: number,
): readonly (readonly Item[])[] {
  const runs: Item[][] = [];
  let bytes = 0;
  for (const item of items) {
    const run = runs.at(-1);
    if (run && bytes + item.lengthBytes <= maxBytes && run.length < maxItems) {
      run.push(item);
      bytes += item.lengthBytes;
    } else {
      runs.push([item]);
      bytes = item.lengthBytes;
    }
  }
  return runs;
}
