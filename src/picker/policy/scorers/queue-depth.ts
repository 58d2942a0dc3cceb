import { fewerIsBetter, type ScorerPlugin } from '../plugin.ts';

/** Prefers the endpoint whose engine has the fewest waiting requests. All equal: all 1, no bias. O(n). */
export const queueScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'queue-scorer',
  score: (_request, endpoints) => fewerIsBetter(endpoints.map(({ metrics }) => metrics?.waitingRequests ?? null)),
};
