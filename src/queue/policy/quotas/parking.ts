/** A parked job is looked at again after so long at the latest: its tenant may have been given more, or stopped asking. */
const LONGEST_MS = 900_000;
/** Shorter than this nothing is parked: what was refused in one moment should come back in one. */
const SHORTEST_MS = 1_000;
const MINUTE_MS = 60_000;
const MAX_TENANTS = 10_000;

export interface Refused {
  /** Until the same request would pass. */
  readonly afterMs: number;
  /** Of the limit of a minute, the part that this job will use. */
  readonly share: number;
  readonly nowMs: number;
}

/**
 * When jobs over the rate of their tenant are looked at again: one after the other, as far apart as the rate has them. Many
 * jobs of one tenant would else come back at one moment, and all but a few be parked again.
 */
export class ParkingPlan {
  /** When the last one parked comes back; least recently used tenant first. */
  readonly #lastMs = new Map<string, number>();

  /** Milliseconds from now, 1 s to 15 min. */
  park(tenant: string, { afterMs, share, nowMs }: Refused): number {
    const last = this.#lastMs.get(tenant) ?? 0;
    const atMs = Math.max(nowMs + Math.max(SHORTEST_MS, afterMs), last + share * MINUTE_MS);
    const cappedMs = Math.min(atMs, nowMs + LONGEST_MS);
    this.#lastMs.delete(tenant);
    this.#lastMs.set(tenant, cappedMs);
    const [oldest] = this.#lastMs.keys();
    if (this.#lastMs.size > MAX_TENANTS && oldest !== undefined) this.#lastMs.delete(oldest);
    return cappedMs - nowMs;
  }
}
