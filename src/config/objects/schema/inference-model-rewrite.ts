import { z } from 'zod';
import { text } from '../../fields.ts';
import { OBJECTIVE_VERSIONS } from './inference-objective.ts';
import { poolRef } from './inference-pool.ts';
import { objectSchema } from './metadata.ts';

const match = z.strictObject({
  model: z.strictObject({
    type: z.literal('Exact').default('Exact'),
    value: text(256).describe('Name of the model in the call.'),
  }),
});

const target = z.strictObject({
  modelRewrite: text(256).describe('Name that replaces it: one of the pool, or one that its model servers know.'),
  weight: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Share of the calls, against the other targets. Give it to all of them or to none.'),
});

const rule = z.strictObject({
  matches: z.array(match).max(256).default([]).describe('Any of them; none = every call to the pool.'),
  targets: z.array(target).min(1).max(256).describe('One of them is chosen by chance, by weight.'),
});

/** Limits wider than those of its CRD, which has checked objects of an API server already. */
export const inferenceModelRewrite = objectSchema(
  [...OBJECTIVE_VERSIONS],
  'InferenceModelRewrite',
  z.strictObject({
    poolRef,
    rules: z
      .array(rule)
      .max(1_024)
      .default([])
      .describe('The first that matches counts; one that names the model first.'),
  }),
);
