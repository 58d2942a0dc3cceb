import type { Clock } from '../../core/clock.ts';
import type { CatalogSource, PoolKey } from '../../core/objects.ts';
import { costOf, dueAheadOf } from '../policy/rows/chunks.ts';
import type { BatchDoc, RowGroup, RowStates } from '../ports.ts';
import type { RowLane } from './ports.ts';

export interface BulkTellerDeps {
  readonly lanes: (pool: PoolKey) => RowLane | undefined;
  readonly states: Pick<RowStates, 'words'>;
  readonly catalog: CatalogSource;
  readonly clock: Clock;
}

/** Told again so often even when nothing has changed: a ledger may have been lost. */
const REPEAT_MS = 10_000;
/** States of a batch with several groups are read at most at this rate to count each group's rows. */
const SCANNED_ROWS_PER_MS = 50;
const SCAN_AT_ONCE = 20_000;
const LEAST_SCAN_EVERY_MS = 1_000;

/** Tells the ledgers how many rows of one batch are left, by pool and objective; absolute numbers, so a lost one is no harm. */
export class BulkTeller {
  readonly #deps: BulkTellerDeps;
  /** By group: what was told last, and when. */
  readonly #told = new Map<number, { readonly text: string; readonly atMs: number }>();
  /** By group: rows left as of the last count. */
  #left = new Map<number, number>();
  #countedMs = Number.NEGATIVE_INFINITY;
  #countedTotal = 0;

  constructor(deps: BulkTellerDeps) {
    this.#deps = deps;
  }

  /** Throws `queue_unavailable`; then it is told at the next call. */
  async tell(doc: BatchDoc, pending: number): Promise<void> {
    const groups = doc.plan?.groups ?? [];
    if (groups.length > 1) await this.#count(doc, groups, pending);
    for (const group of groups) {
      await this.#tellGroup(doc, group, groups.length > 1 ? this.#leftOf(group, pending) : pending);
    }
  }

  /** Nothing of it is left, or may run. */
  async clear(doc: BatchDoc): Promise<void> {
    for (const group of doc.plan?.groups ?? []) await this.#tellGroup(doc, group, 0);
  }

  /** The ledgers may have lost what they were told. */
  forget(): void {
    this.#told.clear();
    this.#countedMs = Number.NEGATIVE_INFINITY;
  }

  async #tellGroup(doc: BatchDoc, group: RowGroup, requests: number): Promise<void> {
    const lane = this.#deps.lanes(group.pool);
    if (!lane) return;
    const { pool, objective } = group;
    const catalog = this.#deps.catalog.current();
    const demand = {
      id: `${doc.id}.${group.firstPlace}`,
      objective,
      priority: (catalog.objective(pool, objective) ?? catalog.defaultObjective(pool)).priority,
      requests,
      bytes: Math.ceil(averageBytes(doc) * requests),
      costTokens: costOf(group, requests),
      deadlineEpochMs: dueAheadOf(doc, this.#deps.clock.epochMs()),
      acceptedAtEpochMs: doc.createdAtEpochMs,
    };
    const text = JSON.stringify(demand);
    const nowMs = this.#deps.clock.monotonicMs();
    const told = this.#told.get(group.firstPlace);
    if (told?.text === text && (requests === 0 || nowMs - told.atMs < REPEAT_MS)) return;
    await lane.ledger.setBulk(demand);
    this.#told.set(group.firstPlace, { text, atMs: nowMs });
  }

  /** Between two counts, what has ended since is shared out in proportion. */
  #leftOf(group: RowGroup, pending: number): number {
    const left = this.#left.get(group.firstPlace) ?? 0;
    return this.#countedTotal === 0 ? left : Math.min(left, Math.ceil((left * pending) / this.#countedTotal));
  }

  async #count(doc: BatchDoc, groups: readonly RowGroup[], pending: number): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    const everyMs = Math.max(LEAST_SCAN_EVERY_MS, (doc.plan?.runnable ?? 0) / SCANNED_ROWS_PER_MS);
    if (nowMs - this.#countedMs < everyMs) return;
    const left = new Map<number, number>();
    for (const { firstPlace, rows } of groups) {
      // Ended rows stay ended: a group that is done is not looked at again.
      const isDone = this.#countedMs > Number.NEGATIVE_INFINITY && this.#left.get(firstPlace) === 0;
      let count = 0;
      for (let first = 0; first < rows && !isDone; first += SCAN_AT_ONCE) {
        const words = await this.#deps.states.words(doc.id, firstPlace + first, Math.min(SCAN_AT_ONCE, rows - first));
        count += words.filter(({ state }) => state === 'pending').length;
      }
      left.set(firstPlace, count);
    }
    this.#left = left;
    this.#countedTotal = pending;
    this.#countedMs = nowMs;
  }
}

function averageBytes({ plan }: BatchDoc): number {
  return plan && plan.total > 0 ? plan.inputBytes / plan.total : 0;
}
