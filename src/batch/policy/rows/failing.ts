/** The ends of a batch's rows as far as they were all alike. */
export interface FailingStreak {
  /** Of the refusal they share; 0 = the last row ended otherwise. */
  readonly httpStatus: number;
  readonly rows: number;
}

export const NO_STREAK: FailingStreak = { httpStatus: 0, rows: 0 };

/** The streak after one more row ended with this status; null = it ended without an answer. */
export function streakAfter(streak: FailingStreak, httpStatus: number | null): FailingStreak {
  if (httpStatus === null || httpStatus < 400 || httpStatus >= 500) return NO_STREAK;
  return { httpStatus, rows: streak.httpStatus === httpStatus ? streak.rows + 1 : 1 };
}

/** For people; holds nothing of the rows. */
export function failingMessage({ httpStatus, rows }: FailingStreak): string {
  return `The last ${rows} rows that ended were all refused with status ${httpStatus}. Look at the error lines, then resume or cancel the batch.`;
}

/** Rows are left pending: what is gone may be put back. */
export const LOST_INPUT_MESSAGE =
  'The content of the input file, or the plan of its rows, is gone from the store. Put it back and resume the batch, or cancel it: what has run is kept.';
