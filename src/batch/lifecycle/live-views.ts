import type { BatchView } from '../../core/batches.ts';
import type { Clock } from '../../core/clock.ts';
import { holdOf } from '../policy/lifecycle/hold.ts';
import { type LiveFacts, NOTHING_LIVE, viewOf } from '../policy/lifecycle/view.ts';
import type { BatchDoc, RowStates, RowTotals } from '../ports.ts';
import type { BatchBoard, BatchIndex, BatchWorld } from './ports.ts';

export interface LiveViewDeps {
  readonly states: RowStates;
  readonly board: BatchBoard;
  readonly index: BatchIndex;
  readonly world: BatchWorld;
  readonly clock: Clock;
}

/** How old what is shown may be; clients that poll in a tight loop ask Redis no oftener. */
const FRESH_MS = 900;
const KEPT = 1_000;
/** Of a tenant's other batches, to say how many are ahead. */
const COMPARED = 200;

interface Kept {
  readonly generation: number;
  readonly atMs: number;
  readonly facts: Promise<LiveFacts>;
}

/** Batches as they are now: the document, and what moves between two of its generations. */
export class LiveViews {
  readonly #deps: LiveViewDeps;
  readonly #kept = new Map<string, Kept>();

  constructor(deps: LiveViewDeps) {
    this.#deps = deps;
  }

  async view(doc: BatchDoc): Promise<BatchView> {
    return viewOf(doc, doc.final === null ? await this.#facts(doc) : NOTHING_LIVE);
  }

  #facts(doc: BatchDoc): Promise<LiveFacts> {
    const nowMs = this.#deps.clock.monotonicMs();
    const kept = this.#kept.get(doc.id);
    if (kept && kept.generation === doc.generation && nowMs - kept.atMs < FRESH_MS) return kept.facts;
    if (this.#kept.size >= KEPT) this.#kept.clear();
    const facts = this.#read(doc);
    this.#kept.set(doc.id, { generation: doc.generation, atMs: nowMs, facts });
    return facts;
  }

  /** What cannot be read now is left out: the document alone is an answer. */
  async #read(doc: BatchDoc): Promise<LiveFacts> {
    const { states, board } = this.#deps;
    const [totals, told] = await Promise.all([
      doc.plan === null ? null : states.totals(doc.id).catch(() => null),
      board.read(doc.id).catch(() => ({ news: null, rowsRunning: 0 })),
    ]);
    return { totals, ...told, hold: await this.#hold(doc, totals, told.rowsRunning) };
  }

  async #hold(doc: BatchDoc, totals: RowTotals | null, rowsRunning: number): Promise<LiveFacts['hold']> {
    const { world } = this.#deps;
    const pools = [...new Set(doc.plan?.groups.map(({ pool }) => pool))].map((pool) => ({
      pool,
      state: world.poolState(pool),
    }));
    const mayBeBehind = doc.pause === null && rowsRunning === 0 && pools.some(({ state }) => state.kind === 'serving');
    const ahead = mayBeBehind ? await this.#ahead(doc).catch(() => 0) : 0;
    const rates = mayBeBehind ? world.rates?.(doc.identity.tenant) : undefined;
    return holdOf(doc, { totals, rowsRunning, pools, ahead, ...(rates && { rates }) });
  }

  async #ahead(doc: BatchDoc): Promise<number> {
    const { index } = this.#deps;
    const open = await index.open(doc.identity.tenant);
    const others = open.filter(({ id, rows }) => id !== doc.id && rows > 0).slice(0, COMPARED);
    const docs = await index.readMany(others.map(({ id }) => id));
    return docs.filter((other) => other !== null && other.pause === null && dueEpochMs(other) < dueEpochMs(doc)).length;
  }
}

function dueEpochMs({ wishes, expiresAtEpochMs }: BatchDoc): number {
  return wishes.deadlineEpochMs ?? expiresAtEpochMs;
}
