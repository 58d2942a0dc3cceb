import type { BatchPlan, RowState, RowStates, RowWord } from '../ports.ts';
import type { PlacedRow } from './plan-walk.ts';

/** A row and what became of it; `wrong` = validation left it out, and it never was to run. */
export interface JudgedRow extends PlacedRow {
  readonly state: RowState | 'wrong';
  readonly word: RowWord | null;
}

/** Places that lie closer than this are asked for together. */
const CLOSE_PLACES = 64;

/** The rows with their states, in the order given. Throws what the states throw. */
export async function judgeRows(
  states: Pick<RowStates, 'words'>,
  batchId: string,
  plan: BatchPlan,
  rows: readonly PlacedRow[],
): Promise<readonly JudgedRow[]> {
  const places = rows.map(({ place }) => place).filter((place) => place < plan.runnable);
  const words = await wordsOf(states, batchId, places);
  return rows.map((row) => {
    if (row.place >= plan.runnable) return { ...row, state: 'wrong', word: null };
    const word = words.get(row.place) ?? null;
    return { ...row, state: word?.state ?? 'pending', word };
  });
}

async function wordsOf(
  states: Pick<RowStates, 'words'>,
  batchId: string,
  places: readonly number[],
): Promise<ReadonlyMap<number, RowWord>> {
  const spans = spansOf([...places].sort((a, b) => a - b));
  const found = await Promise.all(
    spans.map(async ({ first, last }) => ({ first, words: await states.words(batchId, first, last - first + 1) })),
  );
  const words = new Map<number, RowWord>();
  for (const span of found) {
    for (const [index, word] of span.words.entries()) words.set(span.first + index, word);
  }
  return words;
}

interface PlaceSpan {
  readonly first: number;
  last: number;
}

function spansOf(places: readonly number[]): readonly PlaceSpan[] {
  const spans: PlaceSpan[] = [];
  for (const place of places) {
    const span = spans.at(-1);
    if (span && place - span.last < CLOSE_PLACES) span.last = place;
    else spans.push({ first: place, last: place });
  }
  return spans;
}
