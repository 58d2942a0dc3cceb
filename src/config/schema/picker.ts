import { z } from 'zod';
import { positiveDuration } from '../fields.ts';

/** Plugin types under the names of the llm-d router's EndpointPickerConfig; the picker implements them. */
export const FILTER_TYPES = ['availability-filter'] as const;
export const SCORER_TYPES = [
  'queue-scorer',
  'running-requests-size-scorer',
  'kv-cache-utilization-scorer',
  'prefix-cache-scorer',
  'lora-affinity-scorer',
  'active-request-scorer',
] as const;
export const PICKER_TYPES = ['max-score-picker', 'random-picker', 'weighted-random-picker'] as const;

const plugin = z
  .strictObject({
    type: z.enum([...FILTER_TYPES, ...SCORER_TYPES, ...PICKER_TYPES]).describe('What it looks at.'),
    weight: z
      .int()
      .min(0)
      .max(1_000)
      .optional()
      .describe('Scorers only: its part in the sum of scores. 0 = without effect. Default 1.'),
  })
  .superRefine(({ type, weight }, context) => {
    if (weight === undefined || SCORER_TYPES.some((scorer) => scorer === type)) return;
    context.addIssue({ code: 'custom', path: ['weight'], message: `"${type}" gives no score; remove its weight` });
  })
  .transform(({ type, weight }) => ({ type, ...(weight === undefined ? {} : { weight }) }));

const plugins = z
  .array(plugin)
  .max(32)
  .superRefine((list, context) => {
    for (const [index, { type }] of list.entries()) {
      const first = list.findIndex((other) => other.type === type);
      if (first === index) continue;
      const message = `"${type}" is already plugins[${first}]; remove one`;
      context.addIssue({ code: 'custom', path: [index, 'type'], message });
    }
    const pickers = list.filter(({ type }) => PICKER_TYPES.some((picker) => picker === type));
    if (pickers.length > 1) {
      context.addIssue({ code: 'custom', path: [], message: 'has more than one …-picker; keep one' });
    }
  });

/** Weights of queue, KV and prefix are those of the llm-d router's default profile. */
export const pickerSection = z
  .strictObject({
    plugins: plugins
      .prefault([
        { type: 'availability-filter' },
        { type: 'queue-scorer', weight: 2 },
        { type: 'kv-cache-utilization-scorer', weight: 2 },
        { type: 'prefix-cache-scorer', weight: 3 },
        { type: 'lora-affinity-scorer', weight: 2 },
        { type: 'active-request-scorer', weight: 2 },
        { type: 'max-score-picker' },
      ])
      .describe('How the endpoints of a pool are ordered for a call: filters, weighted scorers, one picker.'),
    scrapeBusyEvery: positiveDuration
      .prefault('200ms')
      .describe("How often a model server's metrics are read while calls run there."),
    scrapeIdleEvery: positiveDuration.prefault('1s').describe('How often while none does.'),
  })
  .prefault({})
  .transform(({ scrapeBusyEvery, scrapeIdleEvery, ...rest }) => ({
    ...rest,
    scrapeBusyEveryMs: scrapeBusyEvery,
    scrapeIdleEveryMs: scrapeIdleEvery,
  }));
