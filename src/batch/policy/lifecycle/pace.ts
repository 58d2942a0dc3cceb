/** How many rows had ended at a moment. */
export interface PaceSample {
  readonly atEpochMs: number;
  readonly ended: number;
}

export interface Pace {
  /** Null = too early to tell. */
  readonly rowsPerSecond: number | null;
  /** Until the pending rows have ended at this rate. Null = nobody can tell. */
  readonly etaMs: number | null;
}

/** Long enough to smooth rows that end in bursts, short enough to show a pool that has just grown. */
export const PACE_WINDOW_MS = 60_000;
const MIN_SPAN_MS = 2_000;
const MIN_STEP_MS = 900;

/** The samples of the window, this one included; at most one a second is kept. A count that went back starts anew. */
export function withSample(samples: readonly PaceSample[], sample: PaceSample): readonly PaceSample[] {
  const last = samples.at(-1);
  if (last && sample.ended < last.ended) return [sample];
  const recent = samples.filter(({ atEpochMs }) => atEpochMs >= sample.atEpochMs - PACE_WINDOW_MS);
  const before = recent.at(-2);
  const isClose = before !== undefined && last !== undefined && last.atEpochMs - before.atEpochMs < MIN_STEP_MS;
  return [...(isClose ? recent.slice(0, -1) : recent), sample];
}

export function paceOf(samples: readonly PaceSample[], pending: number): Pace {
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last || last.atEpochMs - first.atEpochMs < MIN_SPAN_MS) return { rowsPerSecond: null, etaMs: null };
  const rowsPerSecond = ((last.ended - first.ended) * 1_000) / (last.atEpochMs - first.atEpochMs);
  return { rowsPerSecond, etaMs: rowsPerSecond > 0 ? Math.round((pending / rowsPerSecond) * 1_000) : null };
}
