import { z } from 'zod';
import { labelName, objectName, percent, positiveDuration, size } from '../../fields.ts';
import { API_VERSION } from '../../schema/configuration.ts';
import { OBJECTIVE_VERSIONS } from './inference-objective.ts';
import { objectSchema } from './metadata.ts';

const groups = OBJECTIVE_VERSIONS.map((version) => version.slice(0, version.indexOf('/')));
const [currentGroup = '', ...olderGroups] = groups;

const spec = z.strictObject({
  targetRefs: z
    .array(
      z.strictObject({
        group: z.enum([currentGroup, ...olderGroups]).default(currentGroup),
        kind: z.literal('InferenceObjective').default('InferenceObjective'),
        name: objectName,
      }),
    )
    .max(256)
    .default([])
    .describe('Objectives it applies to.'),
  className: labelName
    .optional()
    .describe('Applies to every InferenceObjective labelled pilotlight.dev/objective-class with this value.'),
  activation: z
    .enum(['Immediate', 'Batched', 'Scheduled'])
    .default('Immediate')
    .describe(
      'When its work wakes the pool. Immediate: at once. Batched: when enough has gathered, or at maxWait. Scheduled: just in ' +
        'time for its deadlines; what has no deadline, at maxWait. A deadline wakes it in time whatever the activation.',
    ),
  maxWait: positiveDuration
    .prefault('1h')
    .describe(
      'The oldest queued request wakes the pool at this age. Scheduled: only if there is work without a deadline.',
    ),
  queueTtl: positiveDuration.optional().describe('Queued longer than this: evicted. Absent: never.'),
  queueTtlClock: z
    .enum(['Always', 'WithCapacity'])
    .default('Always')
    .describe('WithCapacity: the time in which the pool has no open slot does not count against queueTtl.'),
  defaultDeadline: positiveDuration
    .optional()
    .describe('Deadline of a stored request that names none, from its acceptance. Absent: none.'),
  shedAtPercent: percent
    .optional()
    .describe(
      "Refused once this percent of the pool's budget is used. Default by priority: < 0: 50, 0–99: 90, ≥ 100: 99.",
    ),
  mayExtendKeepWarm: z
    .boolean()
    .optional()
    .describe(
      'Whether its requests restart the keep-warm time. Default: true for Immediate, false for Batched and Scheduled.',
    ),
  guaranteedSharePercent: z
    .int()
    .min(1)
    .max(90)
    .optional()
    .describe(
      'While it has work, at least this percent of the tokens that its pool serves are its own, whatever its priority. ' +
        'The guarantees of one pool add up to 90 at most.',
    ),
  aging: positiveDuration
    .optional()
    .describe('A request that has waited this long in the live order stands in the highest band from then on.'),
  reservedSlots: z
    .strictObject({
      percent: z.int().min(1).max(90).describe("Percent of the pool's open slots."),
      lapseAfter: positiveDuration
        .prefault('5m')
        .describe('Nothing of it came for so long: the slots are free for all until its next request.'),
    })
    .optional()
    .describe('Slots that requests of lower priority leave free for it. Those of one pool add up to 90 % at most.'),
  paused: z.boolean().default(false).describe('Its requests are queued and get no slot.'),
  limits: z
    .strictObject({
      storedRequests: z.int().min(1).max(100_000_000).optional(),
      storedBytes: size.optional(),
    })
    .prefault({})
    .describe(
      'Stored requests in its pool. Absent: limits.storedRequests and limits.storedBytes of the configuration.',
    ),
});

export const objectivePolicy = objectSchema([API_VERSION], 'ObjectivePolicy', spec);

export type ObjectivePolicySpec = z.output<typeof spec>;

/** What holds for an objective without a policy. */
export const DEFAULT_OBJECTIVE_POLICY: ObjectivePolicySpec = spec.parse({});
