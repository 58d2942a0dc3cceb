import { fewerIsBetter, type ScorerPlugin } from '../plugin.ts';

/** Prefers the endpoint whose engine runs the fewest requests, whoever sent them. All equal: all 1, no bias. O(n). */
export const runningRequestsScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'running-requests-size-scorer',
  score: (_request, endpoints) => fewerIsBetter(endpoints.map(({ metrics }) => metrics?.runningRequests ?? null)),
};
