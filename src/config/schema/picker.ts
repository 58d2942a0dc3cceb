import { z } from 'zod';
import { positiveDuration } from '../fields.ts';

const weight = z
  .int()
  .min(0)
  .max(1_000)
  .default(1)
  .describe('Its part in the sum of scores. 0 = computed, without effect.');
const none = z.strictObject({}).prefault({});

/** Plugin names as the llm-d router spells them, so that a profile reads the same in both. */
const plugin = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('queue-scorer'), weight, parameters: none }),
  z.strictObject({ type: z.literal('kv-cache-utilization-scorer'), weight, parameters: none }),
  z.strictObject({ type: z.literal('lora-affinity-scorer'), weight, parameters: none }),
  z.strictObject({ type: z.literal('active-request-scorer'), weight, parameters: none }),
  z.strictObject({
    type: z.literal('prefix-cache-scorer'),
    weight,
    parameters: z
      .strictObject({
        blockSizeTokens: z.int().min(1).max(4_096).default(64),
        maxPrefixBlocksToMatch: z.int().min(1).max(4_096).default(256),
        lruCapacityPerServer: z.int().min(1).max(10_000_000).default(31_250),
      })
      .prefault({}),
  }),
]);

export const pickerSection = z
  .strictObject({
    scrapeEvery: positiveDuration.prefault('500ms').describe('How often the metrics of each model server are read.'),
    plugins: z
      .array(plugin)
      .max(32)
      .default([
        { type: 'queue-scorer', weight: 2, parameters: {} },
        { type: 'kv-cache-utilization-scorer', weight: 2, parameters: {} },
        {
          type: 'prefix-cache-scorer',
          weight: 3,
          parameters: { blockSizeTokens: 64, maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 31_250 },
        },
        { type: 'lora-affinity-scorer', weight: 2, parameters: {} },
        { type: 'active-request-scorer', weight: 1, parameters: {} },
      ])
      .describe('Scorers that order the endpoints of a pool: {type, weight, parameters}.'),
  })
  .prefault({})
  .transform(({ scrapeEvery, plugins }) => ({ scrapeEveryMs: scrapeEvery, plugins }));
