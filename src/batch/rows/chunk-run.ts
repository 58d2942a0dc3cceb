import type { BlobStore } from '../../core/blobs.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import { PLAN_ENTRY_BYTES, type PlanEntry, readPlanEntries } from '../policy/plan-entry.ts';
import { type ChunkPointer, groupAt } from '../policy/rows/chunks.ts';
import { type BatchDoc, type FileCabinet, type RowGroup, type RowStates, RowStatesLost } from '../ports.ts';
import type { BatchRun } from './batch-run.ts';
import type { ChunkClaim, ChunkVerdict } from './ports.ts';
import { RowExecution, type RowExecutionDeps, type RowResult, type RowTask } from './row-execution.ts';
import { type ReadAhead, RowSource } from './row-source.ts';
import type { RowWindow } from './row-window.ts';

export interface ChunkRunDeps extends RowExecutionDeps {
  readonly store: Pick<BlobStore, 'readAll'>;
  readonly states: RowStates;
  readonly cabinet: Pick<FileCabinet, 'read'>;
  readonly ahead: ReadAhead;
}

export interface ChunkLaneHere {
  readonly pool: string;
  readonly objective: string;
  readonly window: RowWindow;
  isOpen(): boolean;
}

const FINISHED: ChunkVerdict = { kind: 'finished' };
/** States this old may miss what another process ended meanwhile. */
const FRESH_WORDS_MS = 2_000;
const TROUBLE_DELAY_MS = 2_000;
const REOPENED_DELAY_MS = 250;
const LEFT_DELAY_MS = 2_500;
/**
 * Rows that were let in before their tenant was over its rate may run on for so long before the chunk is handed back; else
 * chunks of tenants over their rates could keep those of others out.
 */
const OVER_RATE_HELD_MS = 10_000;
const SHORTEST_PARKING_MS = 1_000;
const SHORTEST_REST_MS = 250;
/**
 * From this many on, rows of the chunk are suspected of ending the processes that hold them. A chunk has hundreds of rows and
 * is held long: some of its holders may die of something else.
 */
const SUSPECT_CRASHES = 4;

interface Rows {
  readonly doc: BatchDoc;
  readonly group: RowGroup;
  readonly source: RowSource<PlanEntry>;
}

/**
 * Runs the rows of one claimed chunk that have no end yet, as far as the window of its objective lets it.
 *
 * | state    | rows                                                      | leaves by                                          |
 * | -------- | --------------------------------------------------------- | -------------------------------------------------- |
 * | feeding  | start in plan order; retries wait without place or slot   | no row left → over · stopped → draining            |
 * | draining | none start; those that only wait are taken back, others   | none runs any more → over                          |
 * |          | go on to their end                                        |                                                    |
 *
 * Keeps no cursor: what is pending is what the states call pending.
 */
export class ChunkRun {
  readonly #deps: ChunkRunDeps;
  readonly #batch: BatchRun;
  readonly #lane: ChunkLaneHere;
  readonly #claim: ChunkClaim;
  readonly #pointer: ChunkPointer;
  readonly #stop = new AbortController();
  readonly #running = new Map<RowTask, Promise<void>>();
  #ready: RowTask[] = [];
  #delayed = 0;
  #wordsMs = 0;
  #verdict: ChunkVerdict | null = null;
  /** The tenant is over its rate: first refused, and when it may go on. */
  #overRate: { readonly sinceMs: number; readonly untilMs: number } | null = null;
  #wake: () => void = () => undefined;
  #tick: Promise<void> | null = null;

  constructor(deps: ChunkRunDeps, batch: BatchRun, lane: ChunkLaneHere, claim: ChunkClaim, pointer: ChunkPointer) {
    this.#deps = deps;
    this.#batch = batch;
    this.#lane = lane;
    this.#claim = claim;
    this.#pointer = pointer;
  }

  /** Never throws: what it cannot do goes back to the backlog. */
  async execute(): Promise<ChunkVerdict> {
    let rows: Rows | null = null;
    try {
      rows = await this.#load();
      if (rows) await this.#feed(rows);
    } catch (error) {
      this.#trouble(error);
    }
    this.#takeBackWaiting();
    while (this.#running.size > 0) await Promise.all(this.#running.values());
    rows?.source.close();
    if (this.#verdict?.kind === 'returned' && this.#lane.isOpen())
      return { kind: 'delayed', delayMs: REOPENED_DELAY_MS };
    return this.#verdict ?? FINISHED;
  }

  /** The intake has closed: rows that only wait come back, those with a slot go on. */
  close(): void {
    this.#end({ kind: 'returned' });
    this.#takeBackWaiting();
  }

  /** Stops every row that runs here. */
  abortRunning(reason: Error): void {
    for (const { stop } of this.#running.keys()) stop?.abort(reason);
  }

  #takeBackWaiting(): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(new PilotlightError('draining', 'The chunk is handed back.'));
    for (const { stop, hasSlot } of this.#running.keys()) if (!hasSlot) stop?.abort(this.#stop.signal.reason);
  }

  #end(verdict: ChunkVerdict): void {
    this.#verdict ??= verdict;
    this.#wake();
    if (!this.#stop.signal.aborted) this.#stop.abort(new PilotlightError('draining', 'The chunk is handed back.'));
  }

  /** Null when nothing of this chunk is to be run now: the supply adds it again when that changes. */
  async #load(): Promise<Rows | null> {
    await this.#batch.refresh();
    const { doc, mayStart } = this.#batch;
    const { firstPlace, rows } = this.#pointer;
    const group = doc?.plan && groupAt(doc.plan.groups, firstPlace);
    if (!doc?.plan || !mayStart || !group) return null;
    if (group.objective !== this.#lane.objective || group.pool !== this.#lane.pool) return null;
    const firstByte = firstPlace * PLAN_ENTRY_BYTES;
    const range = { firstByte, lastByte: firstByte + rows * PLAN_ENTRY_BYTES - 1 };
    const [slice, words] = await Promise.all([
      this.#deps.store.readAll(doc.plan.planKey, range),
      this.#deps.states.words(doc.id, firstPlace, rows),
    ]);
    if (!slice) throw new PilotlightError('file_not_found', `The plan of batch ${doc.id} is gone.`);
    this.#wordsMs = this.#deps.clock.monotonicMs();
    const entries = readPlanEntries(slice).filter((_, index) => words[index]?.state === 'pending');
    const places = words.flatMap(({ state }, index) => (state === 'pending' ? [firstPlace + index] : []));
    const isSuspect = this.#claim.crashes >= SUSPECT_CRASHES;
    this.#ready = entries.map((entry, index) => ({
      place: places[index] ?? firstPlace,
      entry,
      attempts: 0,
      alone: false,
      // Only what can have been running: rows start in plan order.
      isSuspect: isSuspect && index < this.#lane.window.size,
      lastError: null,
      hasSlot: false,
      stop: null,
    }));
    return { doc, group, source: new RowSource(this.#deps, doc.inputFile, entries, this.#stop.signal) };
  }

  async #feed(rows: Rows): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#batch.refresh();
      if (!this.#batch.mayStart) {
        this.#end(FINISHED);
        return;
      }
      if (this.#deps.clock.monotonicMs() - this.#wordsMs > FRESH_WORDS_MS) await this.#dropEnded();
      if (this.#isParked()) {
        if (!this.#isStopped()) await this.#news();
        continue;
      }
      const task = this.#ready.shift();
      if (task?.isSuspect) await this.#startBetweenOthers(rows, task);
      else if (task) await this.#start(rows, task);
      else if (this.#running.size === 0 && this.#delayed === 0) return;
      else await this.#news();
    }
  }

  /** No row starts while the tenant is over its rate. A chunk of which nothing runs, or that was held for long, goes back. */
  #isParked(): boolean {
    if (!this.#overRate || this.#ready.length === 0) return false;
    const nowMs = this.#deps.clock.monotonicMs();
    const { sinceMs, untilMs } = this.#overRate;
    const isHeldLong = nowMs - sinceMs >= OVER_RATE_HELD_MS;
    if (!isHeldLong && nowMs >= untilMs) return false;
    if (!isHeldLong && this.#running.size + this.#delayed > 0) return true;
    // Rows that wait are taken back, and what they took of the rate with them: it is free at once.
    const freesRate = [...this.#running.keys()].some(({ hasSlot }) => !hasSlot);
    this.#end({ kind: 'delayed', delayMs: Math.max(SHORTEST_PARKING_MS, freesRate ? 0 : untilMs - nowMs) });
    return true;
  }

  /** While no other row of this chunk runs: when the process dies now, it is known with which row in hand. */
  async #startBetweenOthers(rows: Rows, task: RowTask): Promise<void> {
    await Promise.all(this.#running.values());
    await this.#start(rows, task);
    await Promise.all(this.#running.values());
  }

  async #start(rows: Rows, task: RowTask): Promise<void> {
    let line: Uint8Array;
    let leave: () => void = () => undefined;
    try {
      line = await rows.source.take(task.entry);
      leave = await this.#lane.window.enter(this.#stop.signal, task.alone);
      // Waiting for a place takes long.
      await this.#batch.refresh();
    } catch (error) {
      leave();
      if (this.#isStopped()) return;
      throw error;
    }
    if (this.#isStopped() || !this.#batch.mayStart) {
      leave();
      return;
    }
    task.hasSlot = false;
    task.stop = new AbortController();
    const doc = this.#batch.doc ?? rows.doc;
    const execution = new RowExecution(this.#deps, { batch: this.#batch, doc, group: rows.group }, task, leave);
    this.#batch.running += 1;
    const ended = this.#untilEnd(execution.run(line, task.stop), task, leave);
    this.#running.set(task, ended);
  }

  async #untilEnd(run: Promise<RowResult>, task: RowTask, leave: () => void): Promise<void> {
    try {
      this.#follow(await run, task);
    } catch (error) {
      this.#trouble(error);
    } finally {
      leave();
      this.#batch.running -= 1;
      this.#running.delete(task);
      task.stop = null;
      this.#wake();
    }
  }

  #follow(result: RowResult, task: RowTask): void {
    switch (result.kind) {
      case 'ended':
        return;
      case 'left':
        // The chunk stays held until its batch ends, or is given more time: handed back it would be claimed again at once.
        void this.#later(task, Math.max(LEFT_DELAY_MS, this.#leftMs()));
        return;
      case 'over_rate': {
        const nowMs = this.#deps.clock.monotonicMs();
        this.#overRate = {
          sinceMs: this.#overRate?.sinceMs ?? nowMs,
          untilMs: nowMs + Math.max(SHORTEST_REST_MS, result.delayMs),
        };
        this.#ready.unshift(task);
        return;
      }
      case 'hand_back':
        this.#end({ kind: 'delayed', delayMs: result.delayMs });
        return;
      case 'retry':
        task.alone = result.alone;
        void this.#later(task, result.delayMs);
        return;
      case 'again':
        void this.#later(task, result.delayMs);
    }
  }

  /** Without place or slot. What another process may have ended meanwhile is looked up before it starts again. */
  async #later(task: RowTask, delayMs: number): Promise<void> {
    if (this.#isStopped()) return;
    this.#delayed += 1;
    await this.#deps.clock.sleep(delayMs, this.#stop.signal).catch(() => undefined);
    this.#delayed -= 1;
    if (!this.#isStopped()) this.#ready.push(task);
    this.#wake();
  }

  async #dropEnded(): Promise<void> {
    const { firstPlace, rows } = this.#pointer;
    const words = await this.#deps.states.words(this.#batch.id, firstPlace, rows);
    this.#wordsMs = this.#deps.clock.monotonicMs();
    this.#ready = this.#ready.filter(({ place }) => words[place - firstPlace]?.state === 'pending');
  }

  /** At least once in `FRESH_WORDS_MS`, so that a pause or an end that only others know of is noticed. */
  async #news(): Promise<void> {
    // One pause for many pieces of news: near the end of a chunk each of its rows brings some.
    this.#tick ??= this.#deps.clock.sleep(FRESH_WORDS_MS, this.#stop.signal).then(
      () => this.#ticked(),
      () => this.#ticked(),
    );
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = () => undefined;
  }

  #ticked(): void {
    this.#tick = null;
    this.#wake();
  }

  /** Until the batch's window is over. */
  #leftMs(): number {
    const { doc } = this.#batch;
    return doc ? doc.expiresAtEpochMs - this.#deps.clock.epochMs() : 0;
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #trouble(error: unknown): void {
    const { name, message } = asError(error);
    const { batchId, firstPlace } = this.#pointer;
    const known = error instanceof PilotlightError || error instanceof RowStatesLost;
    const fields = { batchId, firstPlace, error: name, ...(known && { problem: message }) };
    if (known) this.#deps.log.warn(fields, 'chunk.interrupted');
    else this.#deps.log.error(fields, 'chunk.failed');
    // It does not come back by itself, and every other chunk would meet the same.
    if (error instanceof PilotlightError && error.code === 'file_not_found') this.#batch.cannotBeRead();
    this.#end({ kind: 'delayed', delayMs: TROUBLE_DELAY_MS });
  }
}
