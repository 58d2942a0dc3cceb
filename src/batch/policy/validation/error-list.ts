import type { BatchError } from '../../../core/batches.ts';

/** As many are told one by one. */
export const MAX_TOLD_ERRORS = 100;

/** The errors of one file in the order of its lines: the first hundred, and how many more. */
export class ErrorList {
  readonly #told: BatchError[] = [];
  #count = 0;
  #last: BatchError | null = null;

  /** All of them. */
  get count(): number {
    return this.#count;
  }

  add(error: BatchError): void {
    this.#count += 1;
    if (this.#told.length < MAX_TOLD_ERRORS) this.#told.push(error);
  }

  /** Why the file was read no further: told whatever came before. */
  addLast(error: BatchError): void {
    this.#count += 1;
    this.#last = error;
  }

  /** `times` more of which there is nothing particular to tell. */
  addUntold(times: number): void {
    this.#count += times;
  }

  all(): readonly BatchError[] {
    const told = this.#last ? [...this.#told, this.#last] : [...this.#told];
    const untold = this.#count - told.length;
    if (untold === 0) return told;
    const message = `And ${untold} more ${untold === 1 ? 'error' : 'errors'}; the first ${this.#told.length} are listed.`;
    return [...told, { code: 'too_many_errors', message, param: null, line: null }];
  }
}
