import type { ScorerPlugin } from '../plugin.ts';

/** Prefers the endpoint with the fewest calls of this process in flight: idle 1, the busiest 0. All idle: all 1. O(n). */
export const activeRequestScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'active-request-scorer',
  score(_request, endpoints) {
    const most = Math.max(0, ...endpoints.map(({ inFlight }) => inFlight));
    return endpoints.map(({ inFlight }) => (most === 0 ? 1 : 1 - inFlight / most));
  },
};
