/** "5m 3s", "300ms": as core/units formatDuration writes them. */
const DURATIONS = /\b\d+(ms|s|m|h|d)( \d+(s|m|h))?\b/g;
const TIMES = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;
/** Two readings of one point in time by two clocks. */
const SAME_TIME_MS = 5_000;

/** Whether they differ in durations alone: what is left of something, and how long it has been so. */
export function differInDurationsOnly(before: string, after: string): boolean {
  return before.replace(DURATIONS, '…') === after.replace(DURATIONS, '…');
}

/** `before` if it differs in points in time alone, and in none by 5 s: the same was computed again. Else `after`. */
export function lastingWords(before: string | undefined, after: string): string {
  if (before === undefined || before.replace(TIMES, '…') !== after.replace(TIMES, '…')) return after;
  const [old, now] = [before, after].map((text) => [...text.matchAll(TIMES)].map(([time]) => Date.parse(time)));
  const isClose = old?.every((time, index) => Math.abs(time - (now?.[index] ?? Number.NaN)) < SAME_TIME_MS);
  return isClose === true ? before : after;
}
