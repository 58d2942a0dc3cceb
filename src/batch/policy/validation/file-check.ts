import type { JsonLimits } from '../../../core/json-bounds.ts';
import type { BatchError } from '../../../core/batches.ts';
import { rowId, wrongRowLine } from '../lines.ts';
import { NO_GROUP } from '../plan-entry.ts';
import { ErrorList, MAX_TOLD_ERRORS } from './error-list.ts';
import { IdTable } from './id-table.ts';
import { parseJsonLine } from './json-line.ts';
import type { LineSet } from './line-set.ts';
import { LineSplitter, type SplitLine } from './line-splitter.ts';
import { PlanTable } from './plan-table.ts';
import { RouteTable, type Route, type RouteAnswer } from './route-table.ts';
import { type CheckedRow, checkRow, type RowRules, type RowVerdict } from './row-check.ts';
import { problem, type RowProblem, shown } from './row-problem.ts';
import { WrongRows } from './wrong-rows.ts';

export interface FileRules extends RowRules {
  readonly batchId: string;
  readonly rows: number;
  readonly lineBytes: number;
  readonly models: number;
  /** Inputs of all embedding calls together; null = not limited. */
  readonly inputs: number | null;
  readonly json: JsonLimits;
  readonly onInvalidRow: 'fail' | 'skip';
}

export interface FileFindings {
  readonly valid: boolean;
  readonly errors: readonly BatchError[];
  readonly rows: number;
  readonly runnable: number;
  readonly inputBytes: number;
  readonly longestRowBytes: number;
  readonly groups: PlanTable['groups'];
}

/** A line that is not even complete at so many times the limit ends the check: what follows could be anything. */
const ENDLESS_LINES = 8;
/** Lines without a row may be so many beside the rows. */
const SPARE_LINES = 10_000;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * Checks a batch file that comes in chunks of any size, and makes its plan. Whatever the file holds, memory stays at some
 * 75 bytes a row, and a few times the longest allowed line. Where a row names a new pair of model and objective, `feed`
 * yields it and goes on with the answer.
 */
export class FileCheck {
  readonly table = new PlanTable();
  readonly wrongRows = new WrongRows();
  readonly #rules: FileRules;
  readonly #onlyLines: LineSet | null;
  readonly #splitter: LineSplitter;
  readonly #errors = new ErrorList();
  readonly #ids = new IdTable();
  readonly #routes: RouteTable;
  #isStopped = false;
  #rows = 0;
  #inputs = 0;
  #inputBytes = 0;
  #longestRowBytes = 0;
  /** Blank lines since the last row: at the end of a file they do no harm. */
  #blankLines = 0;

  constructor(rules: FileRules, onlyLines: LineSet | null) {
    this.#rules = rules;
    this.#onlyLines = onlyLines;
    this.#splitter = new LineSplitter(rules.lineBytes);
    this.#routes = new RouteTable(rules.models);
  }

  /** True: nothing more needs to be fed, the file is refused. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  *feed(chunk: Uint8Array): Generator<Route, void, RouteAnswer> {
    yield* this.#lines(this.#splitter.push(chunk));
    if (this.#isStopped || this.#splitter.openLineBytes <= this.#rules.lineBytes * ENDLESS_LINES) return;
    const limit = `longer than ${this.#rules.lineBytes} bytes (the limit)`;
    this.#stop('row_too_large', `No line break in ${this.#splitter.openLineBytes} bytes: a row is ${limit}.`);
  }

  *end(): Generator<Route, void, RouteAnswer> {
    if (!this.#isStopped) yield* this.#lines(this.#splitter.end());
    if (this.#isStopped) return;
    if (this.#rows === 0) this.#stop('empty_file', 'The file has no rows: each line must be one request, as JSON.');
    else if (this.#onlyLines && this.#rows < this.#onlyLines.size) {
      this.#stop(
        'input_modified',
        `The file has ${this.#rows} of the ${this.#onlyLines.size} rows that were to run again.`,
      );
    }
  }

  findings(): FileFindings {
    const hasFailed = this.#isStopped || (this.#rules.onInvalidRow === 'fail' && this.#errors.count > 0);
    const runnable = this.table.rows - this.table.wrong;
    return {
      valid: !hasFailed && runnable > 0,
      errors: this.#errors.all(),
      rows: this.table.rows,
      runnable,
      inputBytes: this.#inputBytes,
      longestRowBytes: this.#longestRowBytes,
      groups: this.table.groups,
    };
  }

  *#lines(lines: Iterable<SplitLine>): Generator<Route, void, RouteAnswer> {
    for (const line of lines) {
      if (this.#onlyLines && !this.#onlyLines.has(line.line)) continue;
      if (line.bytes && isBlank(line.bytes)) {
        this.#blankLines += 1;
      } else {
        this.#tellBlankLines(line.line);
        yield* this.#row(line);
      }
      if (line.line >= this.#rules.rows * 2 + SPARE_LINES) this.#stopAtRows();
      if (this.#isStopped) return;
    }
  }

  *#row(line: SplitLine): Generator<Route, void, RouteAnswer> {
    this.#rows += 1;
    if (this.#rows > this.#rules.rows) {
      this.#stopAtRows();
      return;
    }
    const verdict = this.#verdict(line);
    const isTaken = verdict.customId !== null && this.#isTaken(verdict.customId, line.line);
    if (verdict.kind === 'wrong') {
      // An id stands in one line of output and error file, never in two.
      this.#wrong(line, isTaken === false ? verdict.customId : null, verdict.problem);
    } else if (isTaken !== false) {
      this.#wrong(line, null, isTaken);
    } else {
      const group = yield* this.#routes.groupOf(verdict.row);
      if (typeof group === 'number') this.#good(line, verdict.row, group);
      else this.#wrong(line, verdict.customId, group);
    }
  }

  #verdict(line: SplitLine): RowVerdict & { readonly customId: string | null } {
    if (line.bytes === null) {
      const message = `This line has ${line.lengthBytes} bytes; the limit is ${this.#rules.lineBytes}.`;
      return { kind: 'wrong', customId: null, problem: problem('row_too_large', message) };
    }
    const parsed = parseJsonLine(line.bytes, this.#rules.json);
    if (parsed.kind === 'wrong') return { ...parsed, customId: null };
    const verdict = checkRow(parsed.value, line.lengthBytes, this.#rules);
    return verdict.kind === 'wrong' ? verdict : { ...verdict, customId: verdict.row.customId };
  }

  #isTaken(customId: string, line: number): RowProblem | false {
    const first = this.#ids.firstOf(customId, line);
    if (first === undefined) return false;
    const message = `The custom_id '${shown(customId)}' is used on line ${first + 1} already; it must be unique in the file.`;
    return problem('duplicate_custom_id', message, 'custom_id');
  }

  #good(line: SplitLine, row: CheckedRow, group: number): void {
    const { offsetBytes, lengthBytes } = line;
    this.#inputBytes += lengthBytes;
    this.#longestRowBytes = Math.max(this.#longestRowBytes, lengthBytes);
    const { inputTokens, maxOutputTokens, maxAttempts } = row;
    this.table.add({ line: line.line, offsetBytes, lengthBytes, group, inputTokens, maxOutputTokens, maxAttempts });
    const { inputs } = this.#rules;
    if (inputs === null || this.#rules.endpoint !== '/v1/embeddings') return;
    this.#inputs += row.inputs;
    if (this.#inputs <= inputs) return;
    this.#stop(
      'too_many_tasks',
      `Up to this line the rows have ${this.#inputs} inputs; the limit is ${inputs}.`,
      line.line,
    );
  }

  #wrong(line: SplitLine, customId: string | null, { code, message, param }: RowProblem): void {
    const error = { code, message, param, line: line.line + 1 };
    this.#errors.add(error);
    if (this.#rules.onInvalidRow === 'fail') return;
    const place = this.wrongRows.add(wrongRowLine({ id: rowId(this.#rules.batchId, line.line), customId }, error));
    this.table.add({
      line: line.line,
      ...place,
      group: NO_GROUP,
      inputTokens: 0,
      maxOutputTokens: null,
      maxAttempts: null,
    });
  }

  #tellBlankLines(before: number): void {
    const told = Math.min(this.#blankLines, MAX_TOLD_ERRORS);
    for (let index = 0; index < told; index += 1) {
      const line = before - this.#blankLines + index + 1;
      this.#errors.add({ code: 'invalid_json_line', message: 'This line is empty; leave it out.', param: null, line });
    }
    this.#errors.addUntold(this.#blankLines - told);
    this.#blankLines = 0;
  }

  #stopAtRows(): void {
    this.#stop('too_many_tasks', `The file has more than ${this.#rules.rows} rows (the limit); split it.`);
  }

  #stop(code: string, message: string, line: number | null = null): void {
    this.#isStopped = true;
    this.#errors.addLast({ code, message, param: null, line: line === null ? null : line + 1 });
  }
}

function isBlank(bytes: Uint8Array): boolean {
  // Nearly every line starts with a brace.
  if (bytes.length > 0 && bytes[0] !== SPACE && bytes[0] !== TAB) return false;
  return bytes.every((byte) => byte === SPACE || byte === TAB);
}
