import { estimatedCostTokens } from '../../../core/admission.ts';
import { NO_GROUP, PLAN_ENTRY_BYTES, type PlanEntry, writePlanEntry } from '../plan-entry.ts';

const BLOCK_ENTRIES = 32_768;
const GROUP_BYTE = 14;

/** Sums over the rows of one group. */
export interface GroupSums {
  readonly rows: number;
  readonly inputTokens: number;
  /** A row without a limit counts as elsewhere: with the usual length of an answer. */
  readonly maxOutputTokens: number;
}

/** The rows of a plan as they are found, kept as their stored bytes: 32 a row, in blocks that are never copied. */
export class PlanTable {
  readonly #blocks: DataView[] = [];
  readonly #groups: { -readonly [Field in keyof GroupSums]: number }[] = [];
  #rows = 0;
  #wrong = 0;

  /** All rows, wrong ones included. */
  get rows(): number {
    return this.#rows;
  }

  get wrong(): number {
    return this.#wrong;
  }

  get groups(): readonly GroupSums[] {
    return this.#groups;
  }

  /** Rows come in the order of their lines; the first row of a group may be any. */
  add(entry: PlanEntry): void {
    const at = this.#rows % BLOCK_ENTRIES;
    if (at === 0) this.#blocks.push(new DataView(new ArrayBuffer(BLOCK_ENTRIES * PLAN_ENTRY_BYTES)));
    const block = this.#blocks.at(-1);
    if (block) writePlanEntry(block, at * PLAN_ENTRY_BYTES, entry);
    this.#rows += 1;
    if (entry.group === NO_GROUP) {
      this.#wrong += 1;
      return;
    }
    while (this.#groups.length <= entry.group) this.#groups.push({ rows: 0, inputTokens: 0, maxOutputTokens: 0 });
    const sums = this.#groups[entry.group];
    if (!sums) return;
    sums.rows += 1;
    sums.inputTokens += entry.inputTokens;
    sums.maxOutputTokens += estimatedCostTokens({ inputTokens: 0, maxOutputTokens: entry.maxOutputTokens });
  }

  /** The plan's blob in pieces of at most `pieceRows` rows: group after group, then the wrong ones; by line within each. */
  *pieces(pieceRows: number): Generator<Uint8Array<ArrayBuffer>, void, void> {
    const order = this.#order();
    for (let first = 0; first < this.#rows; first += pieceRows) {
      const rows = Math.min(pieceRows, this.#rows - first);
      const piece = new Uint8Array(rows * PLAN_ENTRY_BYTES);
      for (let row = 0; row < rows; row += 1)
        piece.set(this.#entryBytes(order[first + row] ?? 0), row * PLAN_ENTRY_BYTES);
      yield piece;
    }
  }

  /** Row numbers by place: a counting sort, so stable. */
  #order(): Uint32Array {
    const next = new Uint32Array(this.#groups.length + 1);
    for (const [group, sums] of this.#groups.entries()) next[group + 1] = (next[group] ?? 0) + sums.rows;
    const order = new Uint32Array(this.#rows);
    for (let row = 0; row < this.#rows; row += 1) {
      const block = this.#blocks[Math.floor(row / BLOCK_ENTRIES)];
      const group = block?.getUint16((row % BLOCK_ENTRIES) * PLAN_ENTRY_BYTES + GROUP_BYTE, true) ?? NO_GROUP;
      const slot = group === NO_GROUP ? this.#groups.length : group;
      const place = next[slot] ?? 0;
      order[place] = row;
      next[slot] = place + 1;
    }
    return order;
  }

  #entryBytes(row: number): Uint8Array {
    const block = this.#blocks[Math.floor(row / BLOCK_ENTRIES)];
    return block
      ? new Uint8Array(block.buffer, (row % BLOCK_ENTRIES) * PLAN_ENTRY_BYTES, PLAN_ENTRY_BYTES)
      : new Uint8Array(PLAN_ENTRY_BYTES);
  }
}
