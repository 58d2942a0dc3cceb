import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import { PLAN_ENTRY_BYTES, readPlanEntries } from '../policy/plan-entry.ts';
import type { BatchPlan, RowStates } from '../ports.ts';
import { unfinishedRowsKey } from './ports.ts';

/** Rows that are looked at together. */
const SLICE_ROWS = 8_192;

/**
 * Writes which rows of the batch did not complete, as 4-byte little-endian line numbers, rising. Rows that were invalid are
 * not among them: running them again cannot help. Repeatable. Throws `RowStatesLost`, and what Redis and the store throw.
 */
export async function writeUnfinishedRows(
  { blobs, states }: { readonly blobs: BlobStore; readonly states: RowStates },
  batchId: string,
  plan: BatchPlan,
): Promise<void> {
  const lines: number[] = [];
  for (let first = 0; first < plan.runnable; first += SLICE_ROWS) {
    const count = Math.min(SLICE_ROWS, plan.runnable - first);
    const range = { firstByte: first * PLAN_ENTRY_BYTES, lastByte: (first + count) * PLAN_ENTRY_BYTES - 1 };
    const [words, bytes] = await Promise.all([states.words(batchId, first, count), blobs.readAll(plan.planKey, range)]);
    const entries = bytes ? readPlanEntries(bytes) : [];
    if (entries.length !== count || words.length !== count) {
      const message = `The plan of batch '${batchId}' has ${entries.length} of ${count} rows from place ${first} on.`;
      throw new PilotlightError('store_unavailable', message);
    }
    for (const [place, entry] of entries.entries()) if (words[place]?.state !== 'completed') lines.push(entry.line);
  }
  const sorted = Uint32Array.from(lines).sort();
  await blobs.put(unfinishedRowsKey(batchId), littleEndian(sorted));
}

async function* littleEndian(lines: Uint32Array): AsyncIterable<Uint8Array> {
  const bytes = new DataView(new ArrayBuffer(lines.length * 4));
  for (const [index, line] of lines.entries()) bytes.setUint32(index * 4, line, true);
  yield await Promise.resolve(new Uint8Array(bytes.buffer));
}
