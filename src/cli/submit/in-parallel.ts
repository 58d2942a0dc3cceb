/**
 * Calls `work` for each item, at most `width` at a time, until the items end or `signal` aborts; then it waits for what
 * has begun. The first failure stops it too, and is thrown once the others have ended.
 */
export async function inParallel<T>(
  items: AsyncIterable<T> | Iterable<T>,
  width: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for await (const item of items) {
    if (signal.aborted || failures.length > 0) break;
    const one: Promise<void> = work(item)
      .catch((thrown: unknown) => {
        failures.push(thrown);
      })
      .finally(() => running.delete(one));
    running.add(one);
    if (running.size >= width) await Promise.race(running);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
