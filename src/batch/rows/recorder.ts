import type { BlobStore, SegmentLog, SegmentPlace } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { isSamePlace } from '../policy/rows/row-end.ts';
import { type RowEnd, type RowRecord, type RowStates, RowStatesLost, type RowTotals } from '../ports.ts';
import type { RowRecords } from './ports.ts';

export interface RecorderDeps {
  readonly store: BlobStore;
  readonly states: RowStates;
  readonly records: RowRecords;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each commit that this process made. */
  readonly onTotals: (batchId: string, totals: RowTotals) => void;
}

/** Where the row records of a batch are. */
export function rowsPrefix(batchId: string): string {
  return `batches/${batchId}/rows/`;
}

interface Waiting {
  readonly end: RowEnd;
  readonly resolve: (isCounted: boolean) => void;
}

interface BatchLog {
  readonly batchId: string;
  readonly log: SegmentLog;
  waiting: Waiting[];
  isCommitting: boolean;
  /** Rows between `record` and its end. */
  rows: number;
}

/** One call of the states takes at most so many ends. */
const COMMIT_ENDS = 1_000;
const COMMIT_RETRY_MS = 500;
/** A folder syncs quickly; with a bucket every batch of records is an object, which should not be small. */
const FOLDER_LOG = { gatherMs: 5, pendingBytes: 33_554_432 };
const BUCKET_LOG = { gatherMs: 500, pendingBytes: 33_554_432 };

/**
 * Makes ends of rows durable and known: record appended and synced with others (SegmentLog), then one commit for all that
 * were synced meanwhile. At most one commit of a batch is under way; what is synced during it goes into the next.
 */
export class Recorder {
  readonly #deps: RecorderDeps;
  readonly #logs = new Map<string, BatchLog>();
  readonly #stop = new AbortController();

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
  }

  /** Bytes that wait for their sync, over all batches. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const { log } of this.#logs.values()) bytes += log.pendingBytes;
    return bytes;
  }

  /**
   * Resolves once the row's end is durable and either counts (true) or lost against another. Throws `store_unavailable`
   * when the record could not be synced: then nothing has happened and the call may be repeated. Redis being away is
   * waited for, until `stop` rejects.
   */
  async record(record: RowRecord, line: Uint8Array): Promise<boolean> {
    const batch = this.#logOf(record.batchId);
    batch.rows += 1;
    try {
      const place = await batch.log.append(this.#deps.records.encode(record, line));
      return await this.#commitSoon(batch, endOf(record, place));
    } finally {
      batch.rows -= 1;
    }
  }

  /** No row of the batch runs here any more: closes its segment, once what is on its way has been synced. */
  async release(batchId: string): Promise<void> {
    const batch = this.#logs.get(batchId);
    if (!batch || batch.rows > 0) return;
    this.#logs.delete(batchId);
    await batch.log.close();
  }

  /** Syncs what is pending. Ends that Redis has not heard of are found in the records by whoever recovers the batch. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the recorder was stopped'));
    await Promise.all([...this.#logs.values()].map(({ log }) => log.close()));
    this.#logs.clear();
  }

  #logOf(batchId: string): BatchLog {
    const known = this.#logs.get(batchId);
    if (known) return known;
    const { store } = this.#deps;
    const log = store.openLog(rowsPrefix(batchId), store.kind === 's3' ? BUCKET_LOG : FOLDER_LOG);
    const batch: BatchLog = { batchId, log, waiting: [], isCommitting: false, rows: 0 };
    this.#logs.set(batchId, batch);
    return batch;
  }

  #commitSoon(batch: BatchLog, end: RowEnd): Promise<boolean> {
    return new Promise((resolve) => {
      batch.waiting.push({ end, resolve });
      if (batch.isCommitting) return;
      batch.isCommitting = true;
      // All records of one sync resolve in one turn of the event loop: they go together.
      setImmediate(() => void this.#commitAll(batch));
    });
  }

  async #commitAll(batch: BatchLog): Promise<void> {
    while (batch.waiting.length > 0 && !this.#stop.signal.aborted) {
      const group = batch.waiting.splice(0, COMMIT_ENDS);
      const counted = await this.#commit(batch.batchId, group);
      for (const [place, { resolve }] of group.entries()) resolve(counted[place] ?? false);
    }
    for (const { resolve } of batch.waiting.splice(0)) resolve(false);
    batch.isCommitting = false;
  }

  /** Repeats until Redis answers: the records are durable, only their counting is due. */
  async #commit(batchId: string, group: readonly Waiting[]): Promise<readonly boolean[]> {
    const ends = group.map(({ end }) => end);
    for (;;) {
      try {
        const { counted, totals } = await this.#deps.states.commit(batchId, ends);
        this.#deps.onTotals(batchId, totals);
        return counted;
      } catch (error) {
        // Whoever keeps the batch opens it again and counts these records too; or it has ended without them.
        if (error instanceof RowStatesLost) return ends.map(() => false);
        this.#deps.log.warn({ batchId, rows: ends.length, problem: asError(error).message }, 'rows.commit_failed');
      }
      await this.#deps.clock.sleep(COMMIT_RETRY_MS, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return ends.map(() => false);
    }
  }
}

function endOf({ place, state, attempt, usage }: RowRecord, record: SegmentPlace): RowEnd {
  return { place, state, attempt, record, usage };
}

/** Of two records of one row the lower attempt counts; of equal ones the first found. */
export function betterEnd(known: RowEnd | undefined, found: RowEnd): RowEnd {
  if (!known || isSamePlace(known.record, found.record)) return found;
  return found.attempt < known.attempt ? found : known;
}
