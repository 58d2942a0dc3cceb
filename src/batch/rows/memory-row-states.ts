/* eslint-disable @typescript-eslint/require-await -- answers at once, through the same promises as the one in Redis */
import type { BatchUsage } from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import { isSamePlace } from '../policy/rows/row-end.ts';
import {
  type RowEnd,
  type RowGate,
  type RowState,
  type RowStates,
  RowStatesLost,
  type RowTotals,
  type RowWord,
} from '../ports.ts';

interface Rows {
  readonly words: RowWord[];
  readonly counts: Record<RowState, number>;
  readonly usage: { -readonly [Field in keyof BatchUsage]: number };
  readonly crashes: Map<number, number>;
  gate: RowGate;
}

const PENDING: RowWord = { state: 'pending', attempt: 0, record: null };

/** Row states of one process, without Redis: for tests, and the yardstick of the contract suite. */
export class MemoryRowStates implements RowStates {
  readonly #batches = new Map<string, Rows>();

  async open(batchId: string, rows: number, gate: RowGate): Promise<void> {
    if (this.#batches.has(batchId)) return;
    const usage = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 };
    const words = Array.from({ length: rows }, () => PENDING);
    const counts = { pending: rows, completed: 0, failed: 0, expired: 0, cancelled: 0 };
    this.#batches.set(batchId, { words, counts, usage, crashes: new Map(), gate });
  }

  async setGate(batchId: string, gate: RowGate): Promise<void> {
    const rows = this.#rows(batchId);
    if (rows.gate !== 'closed') rows.gate = gate;
  }

  async totals(batchId: string): Promise<RowTotals> {
    return totalsOf(this.#rows(batchId));
  }

  async words(batchId: string, first: number, count: number): Promise<readonly RowWord[]> {
    return this.#rows(batchId).words.slice(first, first + count);
  }

  async commit(
    batchId: string,
    ends: readonly RowEnd[],
  ): Promise<{ readonly counted: readonly boolean[]; readonly totals: RowTotals }> {
    const rows = this.#rows(batchId);
    const counted = ends.map((end) => commitOne(rows, end));
    return { counted, totals: totalsOf(rows) };
  }

  async closePending(batchId: string, state: 'expired' | 'cancelled'): Promise<RowTotals> {
    const rows = this.#rows(batchId);
    rows.gate = 'closed';
    for (const [place, word] of rows.words.entries()) {
      if (word.state === 'pending') end(rows, place, { state, attempt: 0, record: null });
    }
    return totalsOf(rows);
  }

  async crashes(batchId: string, place: number, add: boolean): Promise<number> {
    const { crashes } = this.#rows(batchId);
    const count = (crashes.get(place) ?? 0) + (add ? 1 : 0);
    if (add) crashes.set(place, count);
    return count;
  }

  async drop(batchId: string): Promise<void> {
    this.#batches.delete(batchId);
  }

  /** As when Redis loses everything. */
  lose(): void {
    this.#batches.clear();
  }

  #rows(batchId: string): Rows {
    const rows = this.#batches.get(batchId);
    if (!rows) throw new RowStatesLost(batchId);
    return rows;
  }
}

function commitOne(rows: Rows, { place, state, attempt, record, usage }: RowEnd): boolean {
  const word = rows.words[place];
  if (!word) throw new PilotlightError('internal_error', `There is no row at place ${place} of ${rows.words.length}.`);
  if (word.state !== 'pending') return word.record !== null && isSamePlace(word.record, record);
  if (rows.gate === 'closed') return false;
  end(rows, place, { state, attempt, record });
  rows.usage.inputTokens += usage?.inputTokens ?? 0;
  rows.usage.cachedTokens += usage?.cachedTokens ?? 0;
  rows.usage.outputTokens += usage?.outputTokens ?? 0;
  rows.usage.reasoningTokens += usage?.reasoningTokens ?? 0;
  return true;
}

function end(rows: Rows, place: number, word: RowWord): void {
  rows.words[place] = word;
  rows.counts.pending -= 1;
  rows.counts[word.state] += 1;
}

function totalsOf({ counts, usage, gate }: Rows): RowTotals {
  return { ...counts, usage: { ...usage }, gate };
}
