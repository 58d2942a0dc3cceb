import type { BlobStore } from '../../core/blobs.ts';
import type { RowEnd, RowStates } from '../ports.ts';
import type { RowRecords } from './ports.ts';
import { betterEnd, rowsPrefix } from './recorder.ts';

export interface RecoverDeps {
  readonly store: BlobStore;
  readonly states: RowStates;
  readonly records: RowRecords;
}

/** Ends kept in memory at once: some 20 MB. Of two records of one row further apart than this the first found counts. */
const GATHERED_ENDS = 100_000;
const WORDS_AT_ONCE = 20_000;

/**
 * Commits what the records of a batch tell and its states do not know. Repeatable, and safe beside rows that run: what is
 * known stays as it is. Returns how many rows got their end. Throws RowStatesLost when the batch is not open.
 */
export async function recoverRows(
  { store, states, records }: RecoverDeps,
  batch: { readonly id: string; readonly rows: number },
  signal: AbortSignal,
): Promise<number> {
  const isPending = await pendingPlaces(states, batch, signal);
  if (!isPending.includes(1)) return 0;
  const found = new Map<number, RowEnd>();
  let recovered = 0;
  const flush = async (): Promise<void> => {
    const ends = [...found.values()];
    found.clear();
    if (ends.length === 0) return;
    const { counted } = await states.commit(batch.id, ends);
    for (const [index, isCounted] of counted.entries()) {
      if (!isCounted) continue;
      recovered += 1;
      isPending[ends[index]?.place ?? 0] = 0;
    }
  };
  for await (const { key } of store.list(rowsPrefix(batch.id), signal)) {
    for await (const { record, place } of records.scan(store, key, signal)) {
      if (record.batchId !== batch.id || isPending[record.place] !== 1) continue;
      const { state, attempt, usage } = record;
      const end: RowEnd = { place: record.place, state, attempt, record: place, usage };
      found.set(record.place, betterEnd(found.get(record.place), end));
      if (found.size >= GATHERED_ENDS) await flush();
    }
  }
  await flush();
  return recovered;
}

/** One byte a row: 1 = pending. */
async function pendingPlaces(
  states: RowStates,
  batch: { readonly id: string; readonly rows: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const isPending = new Uint8Array(batch.rows);
  for (let first = 0; first < batch.rows; first += WORDS_AT_ONCE) {
    signal.throwIfAborted();
    const words = await states.words(batch.id, first, Math.min(WORDS_AT_ONCE, batch.rows - first));
    for (const [index, { state }] of words.entries()) if (state === 'pending') isPending[first + index] = 1;
  }
  return isPending;
}
