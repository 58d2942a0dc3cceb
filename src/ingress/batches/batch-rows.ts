import type { RowLine } from '../../core/batches.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { type Exchange, sendText } from '../exchange.ts';
import { integerIn } from '../policy/query.ts';

const LIMIT = { max: 1_000, default: 100 };
/** A page ends early when its lines have so many characters; what one answer holds in memory. */
const PAGE_CHARACTERS = 4_194_304;
/** Lines read from the store at a time. */
const STEP = 20;

/**
 * GET /v1/batches/{id}/rows: lines of the rows that have ended so far, in the order of the input and as they will stand in the
 * output and error files. Where to go on is told in headers, so that the lines stay what they are.
 */
export async function sendRows(
  { api }: BatchApiDeps,
  exchange: Exchange,
  id: string,
  query: URLSearchParams,
): Promise<void> {
  const limit = integerIn(query, 'limit', { min: 1, max: LIMIT.max }) ?? LIMIT.default;
  const afterRow = integerIn(query, 'after', { min: -1, max: Number.MAX_SAFE_INTEGER }) ?? -1;
  const lines: RowLine[] = [];
  let characters = 0;
  let hasMore = true;
  while (hasMore && lines.length < limit && characters < PAGE_CHARACTERS) {
    const after = lines.at(-1)?.row ?? afterRow;
    const page = await api.batches.rows(id, exchange.identity.tenant, after, Math.min(STEP, limit - lines.length));
    lines.push(...page.items);
    characters += page.items.reduce((sum, { line }) => sum + line.length, 0);
    hasMore = page.hasMore && page.items.length > 0;
    exchange.signal.throwIfAborted();
  }
  const lastRow = lines.at(-1)?.row ?? afterRow;
  sendText(exchange, 200, lines.map(({ line }) => `${line}\n`).join(''), {
    'content-type': 'application/jsonl; charset=utf-8',
    'x-pilotlight-last-row': String(lastRow),
    'x-pilotlight-has-more': String(hasMore),
  });
}
