import type { RowCounts } from '../../core/batches.ts';
import type { BlobStore } from '../../core/blobs.ts';
import { PilotlightError } from '../../core/errors.ts';
import { OutcomePrint } from '../policy/finalise/outcome-print.ts';
import { begunFilesPrefix, type OutputKind, outputFileId } from '../policy/finalise/output-files.ts';
import { runsOf } from '../policy/finalise/read-plan.ts';
import type { BatchDoc, BatchFinal, BatchPlan, FileCabinet, Finalise, RowStates, RowTotals } from '../ports.ts';
import { judgeRows, type JudgedRow } from './ended-rows.ts';
import { walkPlan } from './plan-walk.ts';
import { type LinePlace, linePlace, readLines, type RowLineDeps } from './row-lines.ts';

export interface FinaliseDeps extends RowLineDeps {
  readonly store: Pick<BlobStore, 'readAll' | 'put'>;
  readonly files: Pick<FileCabinet, 'read' | 'createOutput'>;
  readonly states: Pick<RowStates, 'totals' | 'words'>;
}

const BLOCK_ROWS = 2_048;
/** Lines that are read and held together, at most; two such runs at a time. */
const RUN_BYTES = 4_194_304;
const RUN_ROWS = 1_024;
/** Rows whose states are asked for together when no lines are read. */
const WORDS_AT_ONCE = 16_384;
const LINE_BREAK = new Uint8Array([0x0a]);

/**
 * Writes the output and the error file of a batch whose rows have all ended, in the order of its input. Nothing is
 * published that is short: when a row has not ended, or states, records and totals disagree, it throws `internal_error`
 * with the numbers. Repeatable: for the same ends of its rows ids and bytes are the same each time, and a file that is
 * there stays as it is. When Redis has lost something meanwhile and other records count, the files are others: two of
 * them never hold one row twice, or miss one.
 */
export function createFinalise(deps: FinaliseDeps): Finalise {
  return async (doc, { signal, onProgress }) => {
    const { plan } = doc;
    if (!plan)
      throw new PilotlightError('internal_error', `Batch ${doc.id} has no plan: there is nothing to finalise.`);
    const totals = await deps.states.totals(doc.id);
    checkTotals(doc, plan, totals);
    const counts: RowCounts = { total: plan.total, completed: totals.completed, failed: plan.total - totals.completed };
    const print = await printOf(deps, doc, plan, signal);
    const progress = new Progress(plan.total, onProgress);
    const write = (kind: OutputKind, rows: number): Promise<string | null> =>
      rows === 0 ? Promise.resolve(null) : writeFile(deps, { doc, plan, kind, rows, print, progress }, signal);
    const outputFileId = await write('output', counts.completed);
    const errorFileId = await write('error', counts.failed);
    onProgress(100);
    return { counts, usage: totals.usage, outputFileId, errorFileId } satisfies BatchFinal;
  };
}

interface Writing {
  readonly doc: BatchDoc;
  readonly plan: BatchPlan;
  readonly kind: OutputKind;
  /** Lines that the file must have. */
  readonly rows: number;
  readonly print: string;
  readonly progress: Progress;
}

async function writeFile(deps: FinaliseDeps, writing: Writing, signal: AbortSignal): Promise<string> {
  const { doc, print, kind } = writing;
  const file = {
    id: outputFileId(doc.id, print, kind),
    tenant: doc.identity.tenant,
    filename: `${doc.id}_${kind}.jsonl`,
    expiresAfterMs: doc.outputExpiresAfterMs,
  };
  await deps.store.put(`${begunFilesPrefix(doc.id)}${file.id}`, nothing(), { signal });
  const { id } = await deps.files.createOutput(file, linesOfFile(deps, writing, signal), signal);
  return id;
}

/** Ends with an error instead of an end when lines are missing, so that the file is not created. */
async function* linesOfFile(
  deps: FinaliseDeps,
  { doc, plan, kind, rows, print, progress }: Writing,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  let lines = 0;
  let judged = 0;
  const found = new OutcomePrint();
  for await (const run of readAhead(runsOfFile(deps, { doc, plan, kind, print: found }, signal))) {
    const read = await run.lines;
    lines += read.length;
    judged += run.judged;
    progress.add(read.length);
    if (read.length > 0) yield joined(read);
  }
  if (found.text !== print) {
    const message = `Rows of batch ${doc.id} ended otherwise while its ${kind} file was written: Redis has lost something.`;
    throw new PilotlightError('queue_unavailable', message);
  }
  if (lines === rows && judged === plan.total) return;
  const message = `Batch ${doc.id}: its ${kind} file would have ${lines} lines instead of ${rows}, of ${judged} rows instead of ${plan.total}.`;
  throw new PilotlightError('internal_error', message);
}

interface Run {
  /** Rows of the plan that were looked at for it. */
  readonly judged: number;
  readonly lines: Promise<readonly Uint8Array[]>;
}

interface Judging extends Pick<Writing, 'doc' | 'plan' | 'kind'> {
  readonly print: OutcomePrint;
}

async function* runsOfFile(
  deps: FinaliseDeps,
  { doc, plan, kind, print }: Judging,
  signal: AbortSignal,
): AsyncGenerator<Run, void, void> {
  for await (const block of readAhead(walkPlan(deps.store, plan, -1, BLOCK_ROWS))) {
    signal.throwIfAborted();
    const rows = await judgeRows(deps.states, doc.id, plan, block);
    for (const { place, word } of rows) if (word) print.add({ place, ...word });
    const places = rows.filter((row) => kindOf(doc, row) === kind).map((row) => linePlace(doc, plan, row));
    yield { judged: rows.length, lines: Promise.resolve([]) };
    for (const run of runsOf<LinePlace>(places, RUN_BYTES, RUN_ROWS)) {
      const lines = readLines(deps, doc, run, signal);
      // It is read ahead: its failure may come before anybody waits for it.
      lines.catch(() => undefined);
      yield { judged: 0, lines };
    }
  }
}

/** Which outcome each row has, in short; see OutcomePrint. */
async function printOf(
  { states }: Pick<FinaliseDeps, 'states'>,
  doc: BatchDoc,
  { runnable }: BatchPlan,
  signal: AbortSignal,
): Promise<string> {
  const print = new OutcomePrint();
  for (let first = 0; first < runnable; first += WORDS_AT_ONCE) {
    signal.throwIfAborted();
    const words = await states.words(doc.id, first, Math.min(WORDS_AT_ONCE, runnable - first));
    for (const [index, word] of words.entries()) print.add({ place: first + index, ...word });
  }
  return print.text;
}

function kindOf(doc: BatchDoc, row: JudgedRow): OutputKind {
  if (row.state !== 'pending') return row.state === 'completed' ? 'output' : 'error';
  throw new PilotlightError('internal_error', `Batch ${doc.id}: the row of line ${row.entry.line + 1} has not ended.`);
}

/** Asks for the next item while the present one is used. */
async function* readAhead<Item>(source: AsyncGenerator<Item, void, void>): AsyncGenerator<Item, void, void> {
  let next = source.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = source.next();
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await source.return();
  }
}

async function* nothing(): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(new Uint8Array());
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(lines.flatMap((line) => [line, LINE_BREAK]));
}

function checkTotals(doc: BatchDoc, plan: BatchPlan, totals: RowTotals): void {
  const { pending, completed, failed, expired, cancelled } = totals;
  const ended = completed + failed + expired + cancelled;
  if (pending === 0 && ended === plan.runnable) return;
  const message = `Batch ${doc.id}: ${ended} of ${plan.runnable} rows have ended, ${pending} are pending: it cannot be finalised.`;
  throw new PilotlightError('internal_error', message);
}

/** Whole percents, each told once. */
class Progress {
  readonly #total: number;
  readonly #tell: (percent: number) => void;
  #done = 0;
  #told = -1;

  constructor(total: number, tell: (percent: number) => void) {
    this.#total = total;
    this.#tell = tell;
  }

  add(rows: number): void {
    this.#done += rows;
    const percent = Math.min(99, Math.floor((this.#done / Math.max(1, this.#total)) * 100));
    if (percent === this.#told) return;
    this.#told = percent;
    this.#tell(percent);
  }
}
