import { z } from 'zod';
import { objectName, text } from '../../fields.ts';
import { objectSchema } from './metadata.ts';

export const POOL_GROUP = 'inference.networking.k8s.io';

const portNumber = z.int().min(1).max(65_535);

/** Which pods belong to a pool and where they listen; limits as in the InferencePool CRD. */
export const selector = z.strictObject({
  matchLabels: z
    .record(text(317), z.string().max(63))
    .refine((labels) => Object.keys(labels).length >= 1 && Object.keys(labels).length <= 64, {
      error: 'must have 1 to 64 labels',
    })
    .describe('Labels that all pods of the pool carry.'),
});

export const targetPorts = z
  .array(
    z.strictObject({ number: portNumber.describe('A port that each pod listens on; each is an endpoint of its own.') }),
  )
  .min(1)
  .max(8)
  .superRefine((ports, context) => {
    for (const [index, port] of ports.entries()) {
      if (ports.findIndex((other) => other.number === port.number) === index) continue;
      context.addIssue({
        code: 'custom',
        path: [index, 'number'],
        message: `port ${port.number} is listed twice; remove one`,
      });
    }
  });

export const inferencePool = objectSchema(
  [`${POOL_GROUP}/v1`],
  'InferencePool',
  z.strictObject({
    selector,
    targetPorts,
    appProtocol: z.enum(['http', 'kubernetes.io/h2c']).default('http').describe('What is spoken on those ports.'),
    endpointPickerRef: z
      .strictObject({
        group: z.string().max(253).default(''),
        kind: text(63).default('Service'),
        name: objectName,
        port: z.strictObject({ number: portNumber }).optional(),
        failureMode: z.enum(['FailClose', 'FailOpen']).default('FailClose'),
      })
      .optional()
      .describe('For the gateway in front, in Kubernetes; not read by Pilotlight.'),
  }),
);

/** A reference to a pool in the same namespace. */
export const poolRef = z.strictObject({
  group: z.literal(POOL_GROUP).default(POOL_GROUP),
  kind: z.literal('InferencePool').default('InferencePool'),
  name: objectName.describe('Name of the pool, in the same namespace.'),
});
