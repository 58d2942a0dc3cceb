import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import { planReads, type ReadSpan, type Wanted } from '../policy/finalise/read-plan.ts';
import { CANCELLED, EXPIRED, rowId, wrongRowLine } from '../policy/lines.ts';
import { wrongRowsKey } from '../policy/plan-entry.ts';
import type { BatchDoc, BatchPlan, DecodeRowRecord, FileCabinet } from '../ports.ts';
import type { JudgedRow } from './ended-rows.ts';

export interface RowLineDeps {
  readonly store: Pick<BlobStore, 'readAll'>;
  readonly files: Pick<FileCabinet, 'read'>;
  readonly decodeRecord: DecodeRowRecord;
}

/** Stands for the input file; no key of a blob has a colon. */
const INPUT_FILE = 'input:';
const READS_AT_ONCE = 4;
/** Decoded in one turn of the event loop: a millisecond or two. */
const ROWS_PER_TURN = 256;

const utf8 = new TextDecoder();

/** Where a row's line, or what it is made of, lies. */
export interface LinePlace extends Wanted {
  readonly row: JudgedRow;
}

/** Throws `internal_error` for a row that has not ended. */
export function linePlace(doc: BatchDoc, plan: BatchPlan, row: JudgedRow): LinePlace {
  const { offsetBytes, lengthBytes } = row.entry;
  switch (row.state) {
    case 'wrong':
      return { row, source: wrongRowsKey(plan.planKey), offsetBytes, lengthBytes };
    case 'expired':
    case 'cancelled':
      return { row, source: INPUT_FILE, offsetBytes, lengthBytes };
    case 'completed':
    case 'failed':
      if (row.word?.record) {
        const { key, offsetBytes: at, lengthBytes: bytes } = row.word.record;
        return { row, source: key, offsetBytes: at, lengthBytes: bytes };
      }
      throw broken(doc, row, 'has ended, but nobody knows where its record is');
    case 'pending':
      throw broken(doc, row, 'has not ended');
  }
}

/** The finished lines of these rows, in their order. A few reads at once; all bytes of the rows are held meanwhile. */
export async function readLines(
  deps: RowLineDeps,
  doc: BatchDoc,
  places: readonly LinePlace[],
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const lines: Uint8Array[] = new Array<Uint8Array>(places.length);
  const spans = [...planReads(places)];
  const readOn = async (): Promise<void> => {
    for (let span = spans.shift(); span; span = spans.shift()) {
      signal.throwIfAborted();
      const bytes = await readSpan(deps, doc, span, signal);
      for (const [count, index] of span.wanted.entries()) {
        const place = places[index];
        if (place) lines[index] = lineOf(deps, doc, place, bytes, span.firstByte);
        if (count % ROWS_PER_TURN === ROWS_PER_TURN - 1) await otherWork();
      }
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, readOn));
  return lines;
}

async function readSpan(deps: RowLineDeps, doc: BatchDoc, span: ReadSpan, signal: AbortSignal): Promise<Uint8Array> {
  const range = { firstByte: span.firstByte, lastByte: span.lastByte };
  if (span.source !== INPUT_FILE) {
    const bytes = await deps.store.readAll(span.source, range);
    if (bytes) return bytes;
    throw new PilotlightError('store_unavailable', `Records of batch ${doc.id} are gone: there is no ${span.source}.`);
  }
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of deps.files.read(doc.inputFile, range, signal)) chunks.push(chunk);
  } catch (error) {
    // The end of a batch must not hang on a file that is gone: its rows that never ran keep the ids of their lines.
    if (!(error instanceof PilotlightError && error.code === 'file_not_found')) throw error;
    return new Uint8Array();
  }
  return Buffer.concat(chunks);
}

function lineOf(deps: RowLineDeps, doc: BatchDoc, place: LinePlace, bytes: Uint8Array, firstByte: number): Uint8Array {
  const { row, offsetBytes, lengthBytes } = place;
  const start = offsetBytes - firstByte;
  const own = bytes.subarray(start, start + lengthBytes);
  if (row.state === 'expired' || row.state === 'cancelled') {
    const head = { id: rowId(doc.id, row.entry.line), customId: customIdOf(own) };
    return wrongRowLine(head, row.state === 'expired' ? EXPIRED : CANCELLED);
  }
  if (own.length < lengthBytes) throw broken(doc, row, `is cut short: ${place.source} ends within it`);
  if (row.state === 'wrong') return own;
  const found = deps.decodeRecord(own);
  if (!found) throw broken(doc, row, `has a damaged record in ${place.source} at byte ${offsetBytes}`);
  const { batchId, place: recorded, state } = found.record;
  if (batchId === doc.id && recorded === row.place && state === row.state) return found.line;
  throw broken(doc, row, `has the record of another (${batchId}, place ${recorded}, ${state}) in ${place.source}`);
}

/** Lets calls and timers have their turn. */
function otherWork(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Validation has seen that it is there; null when the input file is gone or was changed since. */
function customIdOf(rowBytes: Uint8Array): string | null {
  try {
    const row = JSON.parse(utf8.decode(rowBytes)) as { readonly custom_id?: unknown } | null;
    return typeof row?.custom_id === 'string' ? row.custom_id : null;
  } catch {
    return null;
  }
}

function broken(doc: BatchDoc, row: JudgedRow, what: string): PilotlightError {
  const { place, entry } = row;
  return new PilotlightError(
    'internal_error',
    `Batch ${doc.id}: the row of line ${entry.line + 1} (place ${place}) ${what}.`,
  );
}
