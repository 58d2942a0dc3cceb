import type { RowLine } from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { Page } from '../../core/files.ts';
import { runsOf } from '../policy/finalise/read-plan.ts';
import type { BatchDoc, BatchPlan, RowStates } from '../ports.ts';
import { judgeRows, type JudgedRow } from './ended-rows.ts';
import { walkPlan } from './plan-walk.ts';
import { type LinePlace, linePlace, readLines, type RowLineDeps } from './row-lines.ts';

export interface ReadRowsDeps extends RowLineDeps {
  readonly states: Pick<RowStates, 'words'>;
}

/** Finished lines of a batch that runs, in input order, from the row of line (0-based) `afterRow` + 1 on. */
export type ReadRows = (doc: BatchDoc, afterRow: number, limit: number) => Promise<Page<RowLine>>;

const BLOCK_ROWS = 4_096;
/** A page is not made longer than this, whatever its limit. */
const MAX_PAGE_BYTES = 16_777_216;
const TIMEOUT_MS = 30_000;

const utf8 = new TextDecoder();

/** What is asked of the states and the store follows how far the next finished rows are, not how many rows there are. */
export function createReadRows(deps: ReadRowsDeps): ReadRows {
  return async (doc, afterRow, limit) => {
    if (!doc.plan) return { items: [], hasMore: false };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      return await readPage(deps, doc, doc.plan, { afterRow, limit }, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      const message = `The rows of batch '${doc.id}' could not be read in ${TIMEOUT_MS} ms. Try again, or ask for fewer.`;
      throw new PilotlightError('store_unavailable', message, { cause: error });
    }
  };
}

async function readPage(
  deps: ReadRowsDeps,
  doc: BatchDoc,
  plan: BatchPlan,
  { afterRow, limit }: { readonly afterRow: number; readonly limit: number },
  signal: AbortSignal,
): Promise<Page<RowLine>> {
  const ended: JudgedRow[] = [];
  for await (const block of walkPlan(deps.store, plan, afterRow, BLOCK_ROWS)) {
    signal.throwIfAborted();
    const rows = await judgeRows(deps.states, doc.id, plan, block);
    for (const row of rows) if (row.state !== 'pending') ended.push(row);
    if (ended.length > limit) break;
  }
  const places = ended.slice(0, limit).map((row) => linePlace(doc, plan, row));
  const [page = []] = runsOf<LinePlace>(places, MAX_PAGE_BYTES, Math.max(1, limit));
  const lines = await readLines(deps, doc, page, signal);
  const items = page.map(({ row }, index) => ({ row: row.entry.line, line: utf8.decode(lines[index]) }));
  return { items, hasMore: ended.length > items.length };
}
