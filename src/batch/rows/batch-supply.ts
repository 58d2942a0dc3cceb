import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { PoolKey } from '../../core/objects.ts';
import { type Chunk, type ChunkLane, chunkLanes, chunkPointer, deadlineOf } from '../policy/rows/chunks.ts';
import { LaneBook } from '../policy/rows/lane-book.ts';
import { type BatchDoc, type RowStates, RowStatesLost, type RowTotals } from '../ports.ts';
import { mayRun } from './batch-run.ts';
import { BulkTeller, type BulkTellerDeps } from './bulk-teller.ts';
import type { RowHint, RowLane, SupplyBook, SupplyPlace, SupplyWish } from './ports.ts';

export interface BatchSupplyDeps extends BulkTellerDeps {
  readonly states: Pick<RowStates, 'totals' | 'words'>;
  readonly lanes: (pool: PoolKey) => RowLane | undefined;
  readonly book: SupplyBook;
  readonly clock: Clock;
  readonly log: Logger;
  readonly chunkRows: number;
}

const TICK_MS = 1_000;
/** A chunk that should have been opened, or ended, without a hint. */
const WAITING_SILENT_MS = 2_000;
const WAITING_LOST_MS = 30_000;
const OPEN_SILENT_MS = 5_000;

interface Lane {
  readonly of: ChunkLane;
  readonly book: LaneBook;
}

/**
 * Supplies the chunks of one batch to the backlog, one or two waiting at a time, while its rows may run, and tells the
 * ledgers how much is left. Keeps nothing that cannot be found out again: which chunks have pending rows is asked of the
 * states, which of them wait or are open of the backlog. Two suppliers of one batch do no harm.
 */
export class BatchSupply {
  readonly #deps: BatchSupplyDeps;
  readonly #teller: BulkTeller;
  readonly #stop = new AbortController();
  #doc: BatchDoc;
  #lanes: readonly Lane[] = [];
  #news = new AbortController();
  readonly #ended: Promise<void>;

  constructor(deps: BatchSupplyDeps, doc: BatchDoc) {
    this.#deps = deps;
    this.#doc = doc;
    this.#teller = new BulkTeller(deps);
    this.#lanes = this.#lanesOf(doc);
    this.#ended = this.#loop();
  }

  async update(doc: BatchDoc): Promise<void> {
    if (doc.generation < this.#doc.generation) return;
    const isRouted = JSON.stringify(doc.plan?.groups) === JSON.stringify(this.#doc.plan?.groups);
    if (!isRouted) {
      await this.#takeBack();
      await this.#teller.clear(this.#doc);
    }
    this.#doc = doc;
    if (!isRouted) this.#lanes = this.#lanesOf(doc);
    this.#wake();
  }

  heard({ kind, firstPlace }: Extract<RowHint, { kind: 'opened' | 'ended' }>): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const { book } of this.#lanes) book.set(firstPlace, kind === 'opened' ? 'open' : 'unknown', nowMs);
    this.#wake();
  }

  /** Redis lost something: what waits and what is left is looked up anew. */
  forget(): void {
    for (const { book } of this.#lanes) book.forget();
    this.#teller.forget();
    this.#wake();
  }

  /** Stops supplying; chunks and demand are left as they are. */
  async leave(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#ended;
    await this.#leaveBooks().catch(() => undefined);
  }

  /** Stops supplying, takes back what waits, and takes the demand out of the ledgers. */
  async withdraw(): Promise<void> {
    await this.leave();
    await this.#takeBack();
    await this.#teller.clear(this.#doc);
  }

  async #loop(): Promise<void> {
    while (!this.#isStopped()) {
      this.#news = new AbortController();
      try {
        await this.#turn();
      } catch (error) {
        if (error instanceof RowStatesLost) this.forget();
        const { message } = asError(error);
        this.#deps.log.warn({ batchId: this.#doc.id, problem: message }, 'rows.supply_failed');
        this.#news = new AbortController();
      }
      if (!this.#isStopped()) await this.#deps.clock.sleep(TICK_MS, this.#news.signal).catch(() => undefined);
    }
  }

  async #turn(): Promise<void> {
    if (!mayRun(this.#doc)) {
      await this.#takeBack();
      await this.#teller.clear(this.#doc);
      return;
    }
    const totals = await this.#deps.states.totals(this.#doc.id);
    if (!this.#maySupply(totals)) {
      await this.#takeBack();
      await this.#teller.clear(this.#doc);
      return;
    }
    await this.#teller.tell(this.#doc, totals.pending);
    // Rows of chunks that were done are pending again: states were lost, and this process was not told.
    if (this.#lanes.every(({ book }) => book.isDone)) for (const { book } of this.#lanes) book.forget();
    for (const lane of this.#lanes) {
      await this.#checkSilent(lane);
      await this.#topUp(lane);
    }
  }

  #maySupply({ gate, pending }: RowTotals): boolean {
    return gate === 'open' && pending > 0 && this.#deps.clock.epochMs() < this.#doc.expiresAtEpochMs;
  }

  async #topUp({ of, book }: Lane): Promise<void> {
    const lane = this.#deps.lanes(of.pool);
    const { id } = this.#doc;
    // Enough of it waits, but it is not through: a later batch of its tenant must not take its turn.
    if (!book.mayAdd && book.next(Number.POSITIVE_INFINITY)) {
      await this.#deps.book.keep(this.#placeOf(of), this.#wishFor(0));
    }
    while (lane && book.mayAdd && !this.#isStopped()) {
      const chunk = book.next(this.#deps.clock.monotonicMs());
      if (!chunk) {
        await this.#deps.book.leave(this.#placeOf(of), id);
        return;
      }
      const words = await this.#deps.states.words(id, chunk.firstPlace, chunk.rows);
      const pending = words.filter(({ state }) => state === 'pending').length;
      if (pending === 0) {
        book.set(chunk.firstPlace, 'done', null);
        continue;
      }
      const tag = await this.#tagOf(of, chunk, pending);
      if (tag === null) return;
      if (!(await this.#add(lane, of, chunk, tag))) return;
      const isOpen = await lane.backlog.isHeld(chunk.id, of.objective);
      book.set(chunk.firstPlace, isOpen ? 'open' : 'waiting', this.#deps.clock.monotonicMs());
    }
  }

  #tagOf(of: ChunkLane, chunk: Chunk, pending: number): Promise<number | null> {
    const costTokens = Math.ceil((chunk.costTokens * pending) / chunk.rows);
    return this.#deps.book.turn(this.#placeOf(of), this.#wishFor(costTokens));
  }

  #wishFor(costTokens: number): SupplyWish {
    const { id, identity } = this.#doc;
    return { batchId: id, deadlineEpochMs: deadlineOf(this.#doc), costTokens, weight: identity.weight };
  }

  async #add({ backlog }: RowLane, { objective }: ChunkLane, chunk: Chunk, tag: number): Promise<boolean> {
    const { id, firstPlace, rows, costTokens } = chunk;
    const acceptRef = chunkPointer({ batchId: this.#doc.id, firstPlace, rows, tag });
    const answer = await backlog.add({ id, objective, tag, acceptRef, costTokens });
    return answer.kind === 'added';
  }

  /** What happened without a hint: it was lost, or came from a process that is gone. */
  async #checkSilent({ of, book }: Lane): Promise<void> {
    const lane = this.#deps.lanes(of.pool);
    const nowMs = this.#deps.clock.monotonicMs();
    if (!lane) return;
    for (const { id, firstPlace } of book.silentSince('waiting', nowMs - WAITING_SILENT_MS)) {
      if (await lane.backlog.isHeld(id, of.objective)) book.set(firstPlace, 'open', nowMs);
    }
    for (const { id, firstPlace } of book.silentSince('open', nowMs - OPEN_SILENT_MS)) {
      const isHeld = await lane.backlog.isHeld(id, of.objective);
      book.set(firstPlace, isHeld ? 'open' : 'unknown', nowMs);
    }
    for (const { firstPlace } of book.silentSince('waiting', nowMs - WAITING_LOST_MS)) {
      book.set(firstPlace, 'unknown', nowMs);
    }
  }

  async #takeBack(): Promise<void> {
    for (const { of, book } of this.#lanes) {
      const lane = this.#deps.lanes(of.pool);
      for (const { id, firstPlace } of book.in('waiting')) {
        await lane?.backlog.remove(id, of.objective);
        book.set(firstPlace, 'unknown', null);
      }
    }
    await this.#leaveBooks().catch(() => undefined);
  }

  async #leaveBooks(): Promise<void> {
    for (const { of } of this.#lanes) await this.#deps.book.leave(this.#placeOf(of), this.#doc.id);
  }

  #placeOf({ pool, objective }: ChunkLane): SupplyPlace {
    return { pool, objective, tenant: this.#doc.identity.tenant };
  }

  #lanesOf(doc: BatchDoc): Lane[] {
    return chunkLanes(doc.id, doc.plan?.groups ?? [], this.#deps.chunkRows).map((of) => ({
      of,
      book: new LaneBook(of.chunks),
    }));
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #wake(): void {
    this.#news.abort();
  }
}
