import type { Registry } from 'prom-client';
import type { Clock } from '../core/clock.ts';
import type { CatalogSource, PoolKey } from '../core/objects.ts';
import { systemClock } from '../platform/clock.ts';
import { forgetPools } from '../platform/metrics.ts';
import type { Closers } from './closers.ts';

const LOOK_EVERY_MS = 60_000;
/** Scrapers read the last values, and what was in progress ends. */
const KEPT_MS = 600_000;

/** Removes the series of pools that have left the catalog, ten minutes later. Ends with the signal. */
export async function forgetGonePools(
  registry: Registry,
  catalog: CatalogSource,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let known = new Set<PoolKey>(catalog.current().pools.keys());
  const gone = new Map<PoolKey, number>();
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    if (isOver()) return;
    const nowMs = clock.monotonicMs();
    const { pools } = catalog.current();
    for (const key of known) if (!pools.has(key)) gone.set(key, nowMs);
    for (const key of pools.keys()) gone.delete(key);
    known = new Set(pools.keys());
    const due = [...gone].filter(([, sinceMs]) => nowMs - sinceMs >= KEPT_MS).map(([key]) => key);
    if (due.length > 0) await forgetPools(registry, new Set(due));
    for (const key of due) gone.delete(key);
  }
}

/** The same for as long as the process runs. */
export function followGonePools(registry: Registry, catalog: CatalogSource, closers: Closers): void {
  const ended = new AbortController();
  const running = forgetGonePools(registry, catalog, systemClock, ended.signal);
  closers.add('series of pools that are gone', () => {
    ended.abort();
    return running;
  });
}
