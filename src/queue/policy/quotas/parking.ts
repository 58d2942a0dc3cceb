/** A parked job is looked at again after so long at the latest: its tenant may have been given more, or stopped asking. */
const LONGEST_MS = 900_000;
/** Shorter than this nothing is parked: what was refused in one moment should come back in one. */
const SHORTEST_MS = 1_000;
const MINUTE_MS = 60_000;
const MAX_ROWS = 10_000;

export interface Refused {
  /** Until the same request would pass. */
  readonly afterMs: number;
  /** Of the limit of a minute, the part that this job will use. */
  readonly share: number;
  /** Jobs of a higher band are not put behind those of a lower one. */
  readonly priority: number;
  /** Until its deadline; null = it has none. */
  readonly leftMs: number | null;
  readonly nowMs: number;
}

/**
 * When jobs over the rate of their tenant are looked at again: one after the other, as far apart as the rate has them. Many
 * jobs of one tenant would else come back at one moment, and all but a few be parked again. One with a deadline is looked at
 * half-way to it at the latest, wherever that is in the row: it may have become the one that should go first.
 */
export class ParkingPlan {
  /** When the last one parked comes back, by tenant and band; least recently used first. */
  readonly #lastMs = new Map<string, number>();

  /** Milliseconds from now, 1 s to 15 min. */
  park(tenant: string, { afterMs, share, priority, leftMs, nowMs }: Refused): number {
    const row = `${priority} ${tenant}`;
    const last = this.#lastMs.get(row) ?? 0;
    const soonestMs = nowMs + Math.max(SHORTEST_MS, afterMs);
    const atMs = Math.max(soonestMs, last + share * MINUTE_MS);
    const latestMs = leftMs === null ? LONGEST_MS : Math.min(LONGEST_MS, leftMs / 2);
    const cappedMs = Math.min(atMs, Math.max(soonestMs, nowMs + latestMs));
    this.#lastMs.delete(row);
    this.#lastMs.set(row, Math.max(last, cappedMs));
    const [oldest] = this.#lastMs.keys();
    if (this.#lastMs.size > MAX_ROWS && oldest !== undefined) this.#lastMs.delete(oldest);
    return Math.min(cappedMs - nowMs, LONGEST_MS);
  }
}
