import type { LineCounts, RowFacts } from './facts.ts';
import { judgeRow, parseRowLine } from './row-line.ts';
import { rowBody } from './requests.ts';
import { ticketIndex, ticketNumber } from './ticket.ts';
import type { PlannedRequest } from './workload.ts';

/** Matches the lines of both files with the rows of the input, line by line, in the order of the files. */
export class RowTally {
  readonly #seed: number;
  readonly #planned: readonly PlannedRequest[];
  readonly #acceptedAtEpochMs: number;
  readonly #found: (RowFacts | undefined)[];
  readonly #last = { output: -1, errors: -1 };
  readonly #lines: { -readonly [key in keyof LineCounts]: number } = {
    read: 0,
    repeated: 0,
    strange: 0,
    outOfOrder: 0,
  };

  constructor(seed: number, planned: readonly PlannedRequest[], acceptedAtEpochMs: number) {
    this.#seed = seed;
    this.#planned = planned;
    this.#acceptedAtEpochMs = acceptedAtEpochMs;
    this.#found = planned.map(() => undefined);
  }

  take(file: 'output' | 'errors', text: string): void {
    this.#lines.read += 1;
    const line = parseRowLine(text);
    const index = line === null ? null : ticketIndex(line.custom_id);
    const request = index === null ? undefined : this.#planned[index];
    if (line === null || index === null || request === undefined) {
      this.#lines.strange += 1;
      return;
    }
    if (this.#found[index] !== undefined) {
      this.#lines.repeated += 1;
      return;
    }
    if (index < this.#last[file]) this.#lines.outOfOrder += 1;
    this.#last[file] = index;
    const body = rowBody(this.#seed, request);
    this.#found[index] = judgeRow(index, line, {
      failed: file === 'errors',
      body,
      acceptedAtEpochMs: this.#acceptedAtEpochMs,
    });
  }

  get lines(): LineCounts {
    return { ...this.#lines };
  }

  /** Every row of the input, also those without a line. */
  rows(): readonly RowFacts[] {
    return this.#planned.map((_row, index) => this.#found[index] ?? unfound(index));
  }
}

function unfound(index: number): RowFacts {
  return { index, id: ticketNumber(index), status: null, textIsRight: null, waitMs: null, attempts: null };
}
