/**
 * The wall clock with fractions of a millisecond, as other processes of this machine read it: Date has whole milliseconds,
 * and performance.timeOrigin does not follow corrections of the clock. Waits for the next millisecond.
 */
export function wallClock(): () => number {
  const before = Date.now();
  let now = before;
  while (now === before) now = Date.now();
  const offsetMs = now - performance.now();
  return () => performance.now() + offsetMs;
}
