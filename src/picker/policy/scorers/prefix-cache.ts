import type { ScorerPlugin } from '../plugin.ts';

/** Share of the prompt's blocks, from its start, that the endpoint has probably cached. Short prompts: all 0, no bias. */
export const prefixCacheScorer: ScorerPlugin = {
  kind: 'scorer',
  type: 'prefix-cache-scorer',
  score: ({ promptBlocks, matchedBlocks }, endpoints) =>
    endpoints.map((_endpoint, index) => (promptBlocks === 0 ? 0 : (matchedBlocks[index] ?? 0) / promptBlocks)),
};
