import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import { LineHeap } from '../policy/finalise/line-heap.ts';
import { PLAN_ENTRY_BYTES, type PlanEntry, readPlanEntries } from '../policy/plan-entry.ts';
import type { BatchPlan } from '../ports.ts';

/** A row and its place in the plan. */
export interface PlacedRow {
  readonly place: number;
  readonly entry: PlanEntry;
}

type Blobs = Pick<BlobStore, 'readAll'>;

/** Entries of all sequences together that are read ahead: 1 MiB. */
const ENTRIES_AHEAD = 32_768;
const LEAST_ENTRIES_AHEAD = 32;
const SEEKS_AT_ONCE = 16;

/**
 * The rows of a plan in the order of the input file, from the line after `afterLine` on, in blocks of `blockRows`. A plan
 * has them group after group, each by line: they are merged while they are read, so memory depends on the groups alone.
 */
export async function* walkPlan(
  blobs: Blobs,
  plan: BatchPlan,
  afterLine: number,
  blockRows: number,
): AsyncGenerator<readonly PlacedRow[], void, void> {
  const heap = new LineHeap<PlanSequence>();
  for (const sequence of await openSequences(blobs, plan, afterLine)) {
    const line = lineOf(sequence);
    if (line !== null) heap.add(line, sequence);
  }
  let block: PlacedRow[] = [];
  for (let next = heap.first; next?.head; next = heap.first) {
    block.push(next.head);
    if (!next.step()) await next.load();
    heap.moveFirst(lineOf(next));
    if (block.length < blockRows) continue;
    yield block;
    block = [];
  }
  if (block.length > 0) yield block;
}

async function openSequences(blobs: Blobs, plan: BatchPlan, afterLine: number): Promise<PlanSequence[]> {
  const spans = plan.groups.map(({ firstPlace, rows }) => ({ firstPlace, rows }));
  spans.push({ firstPlace: plan.runnable, rows: plan.total - plan.runnable });
  const ahead = Math.max(LEAST_ENTRIES_AHEAD, Math.floor(ENTRIES_AHEAD / spans.length));
  const sequences = spans.map(({ firstPlace, rows }) => new PlanSequence(blobs, plan, firstPlace, rows, ahead));
  for (let first = 0; first < sequences.length; first += SEEKS_AT_ONCE) {
    await Promise.all(sequences.slice(first, first + SEEKS_AT_ONCE).map((sequence) => sequence.seek(afterLine)));
  }
  return sequences;
}

function lineOf(sequence: PlanSequence): number | null {
  return sequence.head?.entry.line ?? null;
}

/** Places of the plan whose lines rise. */
class PlanSequence {
  /** The next row; null = no more. */
  head: PlacedRow | null = null;
  readonly #blobs: Blobs;
  readonly #plan: BatchPlan;
  readonly #endPlace: number;
  readonly #ahead: number;
  #loaded: readonly PlanEntry[] = [];
  #firstLoaded: number;
  #at = 0;

  constructor(blobs: Blobs, plan: BatchPlan, firstPlace: number, rows: number, ahead: number) {
    this.#blobs = blobs;
    this.#plan = plan;
    this.#firstLoaded = firstPlace;
    this.#endPlace = firstPlace + rows;
    this.#ahead = ahead;
  }

  /** To the first row behind this line: by halving, as lines rise. */
  async seek(afterLine: number): Promise<void> {
    let low = this.#firstLoaded;
    let high = afterLine < 0 ? low : this.#endPlace;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [entry] = await this.#read(middle, 1);
      if ((entry?.line ?? 0) <= afterLine) low = middle + 1;
      else high = middle;
    }
    this.#firstLoaded = low;
    await this.load();
  }

  /** To the next row; false = it has to be loaded. */
  step(): boolean {
    this.#at += 1;
    const entry = this.#loaded[this.#at];
    if (!entry) return false;
    this.head = { place: this.#firstLoaded + this.#at, entry };
    return true;
  }

  async load(): Promise<void> {
    const first = this.#firstLoaded + this.#loaded.length;
    this.#loaded = await this.#read(first, Math.min(this.#ahead, this.#endPlace - first));
    this.#firstLoaded = first;
    this.#at = 0;
    const [entry] = this.#loaded;
    this.head = entry ? { place: first, entry } : null;
  }

  async #read(first: number, count: number): Promise<readonly PlanEntry[]> {
    if (count <= 0) return [];
    const firstByte = first * PLAN_ENTRY_BYTES;
    const lastByte = firstByte + count * PLAN_ENTRY_BYTES - 1;
    const bytes = await this.#blobs.readAll(this.#plan.planKey, { firstByte, lastByte });
    if (bytes?.length === count * PLAN_ENTRY_BYTES) return readPlanEntries(bytes);
    const found = bytes === null ? 'is gone' : `ends before place ${first + count}`;
    throw new PilotlightError('store_unavailable', `The plan of a batch (${this.#plan.planKey}) ${found}.`);
  }
}
