/* eslint-disable @typescript-eslint/require-await -- answers at once, through the same promises as the real ones */
import { PLAN_ENTRY_BYTES, readPlanEntries, writePlanEntry } from '../../../src/batch/policy/plan-entry.ts';
import type {
  BatchDoc,
  BatchFinal,
  FailingBatch,
  FileCabinet,
  Finalise,
  RowEnd,
  RowStates,
  RowTotals,
  RowWork,
  ValidationInput,
  ValidationResult,
} from '../../../src/batch/ports.ts';
import type { BlobStore } from '../../../src/core/blobs.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { StoredFile } from '../../../src/core/files.ts';
import type { Notice, NoticeSink } from '../../../src/core/notices.ts';
import { batchPlan, NO_USAGE, rowGroup } from './batch-doc.ts';

/** Input files, and who holds them. */
export class FakeCabinet implements FileCabinet {
  readonly files = new Map<string, StoredFile>();
  readonly holds = new Set<string>();

  async get(id: string, tenant: string): Promise<StoredFile> {
    const file = this.files.get(id);
    if (file?.tenant !== tenant) throw new PilotlightError('file_not_found', `No such File object: ${id}`);
    return file;
  }

  async *read(): AsyncIterable<Uint8Array> {
    yield new Uint8Array();
  }

  async createOutput(): Promise<StoredFile> {
    throw new Error('made by finalise alone');
  }

  async delete(id: string): Promise<void> {
    if (!this.files.delete(id)) throw new PilotlightError('file_not_found', `No such File object: ${id}`);
  }

  async hold(fileId: string, batchId: string): Promise<void> {
    this.holds.add(`${fileId} ${batchId}`);
  }

  async release(fileId: string, batchId: string): Promise<void> {
    this.holds.delete(`${fileId} ${batchId}`);
  }
}

export class FakeNotices implements NoticeSink {
  readonly published: Notice[] = [];

  async publish(notice: Notice): Promise<void> {
    this.published.push(notice);
  }
}

/** What validation finds, for every file. */
export class FakeValidation {
  readonly inputs: ValidationInput[] = [];
  rows = 10;
  /** Lines that are wrong, after the runnable ones. */
  wrong = 0;
  errors: ValidationResult | null = null;
  /** Each call waits for it. */
  gate: Promise<void> = Promise.resolve();
  fault: (call: number) => void = () => undefined;
  readonly #blobs: BlobStore;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  async validate(
    input: ValidationInput,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (percent: number) => void },
  ): Promise<ValidationResult> {
    this.inputs.push(input);
    onProgress(40);
    await aborting(this.gate, signal);
    this.fault(this.inputs.length);
    if (this.errors) return this.errors;
    const lines = await this.#lines(input.onlyRowsKey);
    if (input.planKey !== null) await this.#blobs.put(input.planKey, planBytes(lines));
    const group = rowGroup({ rows: lines.length, objective: input.objective ?? 'batch' });
    const plan = { runnable: lines.length, total: lines.length + this.wrong, planKey: input.planKey ?? '' };
    return { kind: 'valid', plan: batchPlan({ ...plan, groups: [group] }), errors: [] };
  }

  async #lines(onlyRowsKey: string | null): Promise<readonly number[]> {
    if (onlyRowsKey === null) return Array.from({ length: this.rows }, (_, line) => line);
    const bytes = (await this.#blobs.readAll(onlyRowsKey)) ?? new Uint8Array();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getUint32(index * 4, true));
  }
}

async function* planBytes(lines: readonly number[]): AsyncIterable<Uint8Array> {
  const bytes = new Uint8Array(lines.length * PLAN_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [place, line] of lines.entries()) {
    const rest = { offsetBytes: 0, lengthBytes: 1, group: 0, inputTokens: 1, maxOutputTokens: 1, maxAttempts: null };
    writePlanEntry(view, place * PLAN_ENTRY_BYTES, { line, ...rest });
  }
  yield bytes;
}

/** Row records as the store has them, over all processes. */
export type Records = Map<string, RowEnd[]>;

/** Rows that run when a test says so. */
export class FakeRowWork implements RowWork {
  readonly supplied: BatchDoc[] = [];
  readonly withdrawn: BatchDoc[] = [];
  readonly left: string[] = [];
  readonly aborted: string[] = [];
  recoveries = 0;
  runningRows = 0;
  readonly #states: RowStates;
  readonly #records: Records;
  readonly #progress = new Set<(batchId: string, totals: RowTotals) => void>();
  readonly #failing = new Set<(failing: FailingBatch) => void>();

  constructor(states: RowStates, records: Records) {
    this.#states = states;
    this.#records = records;
  }

  async supply(doc: BatchDoc): Promise<void> {
    this.supplied.push(doc);
  }

  async withdraw(doc: BatchDoc): Promise<void> {
    this.withdrawn.push(doc);
  }

  leave(batchId: string): void {
    this.left.push(batchId);
  }

  abort(batchId: string): void {
    this.aborted.push(batchId);
    this.runningRows = 0;
  }

  async recover(doc: BatchDoc): Promise<number> {
    this.recoveries += 1;
    const ends = this.#records.get(doc.id) ?? [];
    const before = await this.#states.totals(doc.id);
    const { totals } = await this.#states.commit(doc.id, ends);
    return before.pending - totals.pending;
  }

  running(): number {
    return this.runningRows;
  }

  onProgress(listener: (batchId: string, totals: RowTotals) => void): () => void {
    this.#progress.add(listener);
    return () => this.#progress.delete(listener);
  }

  onFailing(listener: (failing: FailingBatch) => void): () => void {
    this.#failing.add(listener);
    return () => this.#failing.delete(listener);
  }

  fail(batchId: string, message: string): void {
    for (const listener of this.#failing) listener({ batchId, message });
  }

  /** These rows end: their records are synced, and (unless `isUncommitted`: a crash in between) committed. */
  async end(
    batchId: string,
    places: readonly number[],
    { state = 'completed', isUncommitted = false }: { state?: 'completed' | 'failed'; isUncommitted?: boolean } = {},
  ): Promise<void> {
    const usage = { ...NO_USAGE, inputTokens: 2, outputTokens: 3 };
    const ends = places.map((place) => {
      const record = { key: `batches/${batchId}/rows/1`, offsetBytes: place * 10, lengthBytes: 10 };
      return { place, state, attempt: 1, record, usage };
    });
    this.#records.set(batchId, [...(this.#records.get(batchId) ?? []), ...ends]);
    if (isUncommitted) return;
    const { totals } = await this.#states.commit(batchId, ends);
    for (const listener of this.#progress) listener(batchId, totals);
  }
}

/** Counts what the words say, and remembers which rows went where. */
export class FakeFinalise {
  readonly files = new Map<string, readonly string[]>();
  calls = 0;
  gate: Promise<void> = Promise.resolve();
  fault: (call: number) => void = () => undefined;
  /** Rows that are left out, as a broken finalise would. */
  missing = 0;
  readonly #states: RowStates;
  readonly #blobs: BlobStore;

  constructor(states: RowStates, blobs: BlobStore) {
    this.#states = states;
    this.#blobs = blobs;
  }

  readonly finalise: Finalise = async (doc, { signal, onProgress }): Promise<BatchFinal> => {
    this.calls += 1;
    const plan = doc.plan ?? batchPlan();
    onProgress(50);
    await aborting(this.gate, signal);
    this.fault(this.calls);
    const words = await this.#states.words(doc.id, 0, plan.runnable);
    const entries = readPlanEntries((await this.#blobs.readAll(plan.planKey)) ?? new Uint8Array());
    const rows = words.map((word, place) => ({ state: word.state, line: entries[place]?.line }));
    const output = rows.filter(({ state }) => state === 'completed').slice(this.missing);
    const errors = rows.filter(({ state }) => state !== 'completed' && state !== 'pending');
    const file = (name: string, lines: typeof rows) => {
      if (lines.length === 0) return null;
      this.files.set(
        `${name}-${doc.id}`,
        lines.map(({ state, line }) => `${line} ${state}`),
      );
      return `${name}-${doc.id}`;
    };
    const failed = errors.length + plan.total - plan.runnable;
    return {
      counts: { total: plan.total, completed: output.length, failed },
      usage: (await this.#states.totals(doc.id)).usage,
      outputFileId: file('file-out', output),
      errorFileId: file('file-err', errors),
    };
  };
}

async function aborting(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  await Promise.race([wait, promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
