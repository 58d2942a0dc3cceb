/** How much of one endpoint's work may be under way here. */
const MAX_AT_ONE_TIME = 8;
/** After a failure one delivery at a time finds out whether the receiver is back. */
const PROBES = 1;
const FIRST_HOLD_MS = 1_000;
const MAX_HOLD_MS = 60_000;
/** A receiver may ask for more time than that between two deliveries, and is then asked again. */
const MAX_ASKED_HOLD_MS = 3_600_000;
const FIRST_PACE_MS = 100;
const MIN_PUT_OFF_MS = 50;
const MAX_PUT_OFF_MS = 30_000;
/** Weight of the newest attempt in what one is expected to take. */
const NEWEST = 0.2;
/** Endpoints that are away; beyond it the one that failed first is forgotten. */
const MAX_KNOWN = 10_000;

interface Lane {
  running: number;
  failures: number;
  heldUntilMs: number;
  /** When the next one that is put off should come back. */
  nextPlaceMs: number;
  /** What an attempt takes, as far as is known. */
  paceMs: number;
}

export type LaneAnswer = { readonly kind: 'go' } | { readonly kind: 'wait'; readonly delayMs: number };

/** How an attempt went. */
export interface LaneUse {
  /** It did not answer, or asked for fewer. */
  readonly isAway: boolean;
  readonly retryAfterMs: number | null;
  readonly tookMs: number;
}

/**
 * Keeps a slow or dead receiver from taking the time of all others: some deliveries of one endpoint at a time, and none
 * for a growing while (1 s to 60 s, or as long as it asked for) after it was away. Waiting uses no attempt. Of one process; others find out for
 * themselves. Times are monotonic milliseconds.
 */
export class EndpointLanes {
  readonly #lanes = new Map<string, Lane>();

  /** `go` must be followed by `leave`. `chance` in [0, 1) spreads what comes back after a hold. */
  enter(endpointId: string, nowMs: number, chance: number): LaneAnswer {
    const lane = this.#lane(endpointId);
    const heldMs = lane.heldUntilMs - nowMs;
    if (heldMs > 0) return { kind: 'wait', delayMs: Math.ceil(heldMs * (1 + chance / 2)) };
    if (lane.running < (lane.failures > 0 ? PROBES : MAX_AT_ONE_TIME)) {
      lane.running += 1;
      return { kind: 'go' };
    }
    // In turn, as fast as those before it are expected to end: coming back too early costs Redis for nothing.
    const placeMs = Math.max(lane.nextPlaceMs, nowMs) + lane.paceMs / MAX_AT_ONE_TIME;
    lane.nextPlaceMs = Math.min(placeMs, nowMs + MAX_PUT_OFF_MS);
    return { kind: 'wait', delayMs: Math.max(Math.ceil(lane.nextPlaceMs - nowMs), MIN_PUT_OFF_MS) };
  }

  leave(endpointId: string, nowMs: number, { isAway, retryAfterMs, tookMs }: LaneUse): void {
    const lane = this.#lane(endpointId);
    lane.running -= 1;
    lane.paceMs += NEWEST * (tookMs - lane.paceMs);
    if (isAway) {
      const holdMs = Math.min(FIRST_HOLD_MS * 2 ** Math.min(lane.failures, 10), MAX_HOLD_MS);
      lane.failures += 1;
      lane.heldUntilMs = nowMs + Math.max(holdMs, Math.min(retryAfterMs ?? 0, MAX_ASKED_HOLD_MS));
    } else {
      lane.failures = 0;
      lane.heldUntilMs = 0;
    }
    if (lane.running === 0 && lane.failures === 0) this.#lanes.delete(endpointId);
  }

  /** Endpoints that something is known of. */
  get size(): number {
    return this.#lanes.size;
  }

  #lane(endpointId: string): Lane {
    const known = this.#lanes.get(endpointId);
    if (known) return known;
    if (this.#lanes.size >= MAX_KNOWN) this.#forgetOne();
    const lane = { running: 0, failures: 0, heldUntilMs: 0, nextPlaceMs: 0, paceMs: FIRST_PACE_MS };
    this.#lanes.set(endpointId, lane);
    return lane;
  }

  #forgetOne(): void {
    for (const [id, lane] of this.#lanes) {
      if (lane.running > 0) continue;
      this.#lanes.delete(id);
      return;
    }
  }
}
