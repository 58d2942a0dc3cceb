import { z } from 'zod';
import type { ObjectivePolicyCondition, PolicyConditionType } from '../../core/policy-status.ts';
import { WARM_UP_PHASES } from '../../core/replicas.ts';

const count = z.int().min(0).max(2_147_483_647);
const time = z.string().max(64).meta({ format: 'date-time' });
const name = z.string().max(253);
const message = z.string().max(1_024);

/** The fields of metav1.Condition, whose limits these are. */
function conditions<Type extends string>() {
  return z
    .array(
      z.strictObject({
        // Any: a newer controller may have types that this schema does not know.
        type: z.string().max(316) as unknown as z.ZodType<Type>,
        status: z.enum(['True', 'False', 'Unknown']),
        reason: z
          .string()
          .min(1)
          .max(1_024)
          .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/),
        message,
        observedGeneration: z.int().min(0),
        lastTransitionTime: time,
      }),
    )
    .max(16)
    .describe('True is well for all of them.');
}

/** Schema of core's ScalePolicyStatus; a test compares the two. */
export const scalePolicyStatus = z.strictObject({
  observedGeneration: z.int().min(0).describe('Generation of the policy that this is about.'),
  phase: z.enum(['Asleep', 'Waking', 'Ready', 'Draining', 'Stalled', 'Paused']),
  readyReplicas: count,
  bootingReplicas: count,
  desiredReplicas: count,
  replicasByPhase: z.strictObject(
    Object.fromEntries(WARM_UP_PHASES.map((phase) => [phase, count.exactOptional()])) as Record<
      (typeof WARM_UP_PHASES)[number],
      z.ZodExactOptional<typeof count>
    >,
  ),
  queued: count.describe('Requests that wait, in the live order or stored.'),
  running: count,
  oldestQueuedAt: time.exactOptional().describe('Absent when nothing waits.'),
  nextReadyAt: time.exactOptional().describe('When the next replica is expected to be ready, while one boots.'),
  lastDecision: z
    .strictObject({
      at: time,
      rule: name,
      message,
      wouldChange: z.array(message).max(8).describe('What would change it.'),
    })
    .exactOptional(),
  targets: z
    .array(
      z.strictObject({
        name,
        specReplicas: count.exactOptional().describe('What the workload itself asks for.'),
        readyReplicas: count,
        bootingReplicas: count,
        templateHash: name.exactOptional(),
        message: message.exactOptional().describe('Why no replica is ordered or taken away there now.'),
      }),
    )
    .max(32),
  orders: z.array(message).max(16).describe('Orders of people in force.'),
  conditions: conditions<PolicyConditionType>(),
});

/** Of core's ObjectivePolicyStatus. */
export const objectivePolicyStatus = z.strictObject({
  observedGeneration: z.int().min(0).describe('Generation of the policy that this is about.'),
  conditions: conditions<ObjectivePolicyCondition['type']>(),
});
