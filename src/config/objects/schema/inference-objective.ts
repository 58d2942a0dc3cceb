import { z } from 'zod';
import { poolRef } from './inference-pool.ts';
import { objectSchema } from './metadata.ts';

/** Current group first: of two objects with one name it wins. */
export const OBJECTIVE_VERSIONS = ['llm-d.ai/v1alpha2', 'inference.networking.x-k8s.io/v1alpha2'] as const;

/** Label on an InferenceObjective that an ObjectivePolicy's `className` selects. */
export const OBJECTIVE_CLASS_LABEL = 'pilotlight.dev/objective-class';

const MIN_INT32 = -2_147_483_648;
const MAX_INT32 = 2_147_483_647;

export const inferenceObjective = objectSchema(
  [...OBJECTIVE_VERSIONS],
  'InferenceObjective',
  z.strictObject({
    priority: z.int().min(MIN_INT32).max(MAX_INT32).default(0).describe('Higher first, negative = sheddable.'),
    poolRef,
  }),
);
