import { NEUTRAL_SCORE, type ScorerPlugin } from '../plugin.ts';

/** 1 − the share of the KV cache in use; neutral where the engine does not report it. O(n). */
export const kvCacheUtilizationScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'kv-cache-utilization-scorer',
  score: (_request, endpoints) =>
    endpoints.map(({ metrics }) => (metrics?.kvUsageRatio === undefined ? NEUTRAL_SCORE : 1 - metrics.kvUsageRatio)),
};
