import type { EngineMetrics } from '../../core/endpoint.ts';

/** What the plugins may know of one endpoint at the moment of a pick. */
export interface EndpointView {
  readonly id: string;
  readonly draining: boolean;
  /** Its last calls or scrapes failed: it is tried only when nothing else is left. */
  readonly answering: boolean;
  /** Last scrape; null = none yet, or too old to be believed. */
  readonly metrics: EngineMetrics | null;
  /** Calls of this process that run there now. Exact and immediate. */
  readonly inFlight: number;
}

/** What the plugins may know of the call. */
export interface PickRequest {
  /** LoRA adapter the endpoint must serve; null = the base model. */
  readonly adapter: string | null;
  /** Full prompt blocks in all; 0 = too short to compare. */
  readonly promptBlocks: number;
  /** How many blocks from the start of the prompt the endpoint has probably cached, by endpoint index. */
  readonly matchedBlocks: readonly number[];
}

/** Takes endpoints out. Data and one pure function. */
export interface FilterPlugin {
  readonly kind: 'filter';
  readonly type: string;
  /** Null = stays; otherwise why not, for people. */
  readonly reject: (request: PickRequest, endpoint: EndpointView) => string | null;
}

/** Rates endpoints in [0, 1], higher = better; all equal when it cannot tell them apart. Data and one pure function. */
export interface ScorerPlugin {
  readonly kind: 'scorer';
  readonly type: string;
  readonly score: (request: PickRequest, endpoints: readonly EndpointView[]) => readonly number[];
}

/** Score of an endpoint that a scorer knows nothing about: neither preferred nor shunned. */
export const NEUTRAL_SCORE = 0.5;

/** 1 for the smallest value, 0 for the largest, 1 for all when equal; unknown (null) is neutral. O(n). */
export function fewerIsBetter(values: readonly (number | null)[]): number[] {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value === null) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const spread = most - least;
  return values.map((value) => {
    if (value === null) return NEUTRAL_SCORE;
    return spread > 0 ? (most - value) / spread : 1;
  });
}
