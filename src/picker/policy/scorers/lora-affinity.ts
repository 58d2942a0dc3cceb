import { type EndpointView, NEUTRAL_SCORE, type ScorerPlugin } from '../plugin.ts';

/**
 * Prefers endpoints that have the call's adapter loaded: 1 loaded, 0.8 room for one more, 0.6 waiting to be loaded,
 * 0 full of others; neutral without metrics. Calls without an adapter: all 1. Values: llm-d router, lora-affinity-scorer.
 */
export const loraAffinityScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'lora-affinity-scorer',
  score: ({ adapter }, endpoints) => endpoints.map((endpoint) => (adapter === null ? 1 : affinity(adapter, endpoint))),
};

function affinity(adapter: string, { metrics }: EndpointView): number {
  if (metrics?.maxAdapters === undefined) return NEUTRAL_SCORE;
  if (metrics.runningAdapters.includes(adapter)) return 1;
  const waiting = metrics.waitingAdapters.includes(adapter);
  const known = new Set([...metrics.runningAdapters, ...metrics.waitingAdapters]);
  if (!waiting && known.size < metrics.maxAdapters) return 0.8;
  return waiting ? 0.6 : 0;
}
