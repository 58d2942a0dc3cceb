import { z } from 'zod';
import {
  autoDuration,
  autoSlots,
  labelName,
  objectName,
  percent,
  positiveDuration,
  show,
  size,
  text,
} from '../../fields.ts';
import { API_VERSION } from '../../schema/configuration.ts';
import { poolRef, selector, targetPorts } from './inference-pool.ts';
import { objectSchema } from './metadata.ts';

const model = z.strictObject({
  name: text().describe('Name callers use, and the one that the model server knows unless `adapter` is given.'),
  aliases: z.array(text()).max(64).default([]).describe('Further names that lead here.'),
  adapter: text().optional().describe('LoRA adapter that serves it; it is loaded on the endpoint first.'),
});

const processTarget = z
  .strictObject({
    command: z
      .array(z.string().max(8_192))
      .min(1)
      .max(256)
      .describe(
        'Program and arguments. "{port}" and "{host}" are replaced; the first word "pilotlight" is this program.',
      ),
    env: z
      .array(z.strictObject({ name: text(), value: z.string().max(32_768) }))
      .max(256)
      .default([])
      .describe('Environment variables, on top of PATH, HOME and a few others; the rest is not inherited.'),
    workingDir: text(4_096).optional().describe("Folder it runs in, relative to this file. Absent: Pilotlight's own."),
    readiness: z
      .strictObject({
        path: z
          .string()
          .regex(/^\/[^\s?#]*$/, { error: (issue) => `${show(issue.input)} is not a path; write one like "/health"` })
          .default('/health')
          .describe('Answers 200 when the server can take requests.'),
        every: positiveDuration.prefault('500ms').describe('How often it is asked.'),
      })
      .prefault({}),
  })
  .describe('Replicas as local commands. Only in local files.');

const target = z.strictObject({
  name: labelName,
  process: processTarget.optional(),
  scaleTargetRef: z
    .strictObject({
      apiVersion: z
        .string()
        .max(253)
        .regex(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?[/])?v[0-9][a-z0-9]*$/, {
          error: (issue) => `${show(issue.input)} is not a group and version; write one like "apps/v1"`,
        })
        .describe('Group and version, like apps/v1.'),
      kind: z
        .string()
        .max(63)
        .regex(/^[A-Z][A-Za-z0-9]*$/, {
          error: (issue) => `${show(issue.input)} is not a kind; write one like "Deployment"`,
        })
        .describe('Deployment, StatefulSet, LeaderWorkerSet, …'),
      name: objectName.describe('Name of the workload, in the same namespace.'),
    })
    .optional()
    .describe('Anything with a /scale subresource.'),
  minReplicas: z.int().min(0).max(10_000).default(0).describe('Kept up even without work.'),
  maxReplicas: z.int().min(1).max(10_000).default(1).describe('Never more than these.'),
  slotsPerEndpoint: autoSlots.default('Auto').describe('Requests one endpoint carries at once; Auto learns it.'),
  gpusPerReplica: z.int().min(0).max(1_024).default(1).describe('For GPU time and money.'),
  pricePerGpuHour: z
    .string({ error: (issue) => `${show(issue.input)} is not a price; write it as text, like "2.50"` })
    .regex(/^\d{1,6}(\.\d{1,4})?$/, {
      error: (issue) => `${show(issue.input)} is not a price; write USD like "2.50", with four decimals at most`,
    })
    .meta({ maxLength: 11 })
    .default('0')
    .transform(Number)
    .describe('USD, a decimal number as text. "0" = not told.'),
  preference: z.int().min(-1_000).max(1_000).default(0).describe('Higher is tried first.'),
});

/** Defaults follow docs/autoscaling.md. */
const scaling = {
  activation: z
    .strictObject({
      minEfficiencyPercent: percent
        .default(50)
        .describe('Share of a cold boot plus keep-warm that must be useful work before Batched work wakes the pool.'),
      expectedRequestDuration: positiveDuration
        .prefault('10s')
        .describe('Time one request holds a slot, until it was measured.'),
      drainTarget: autoDuration
        .prefault('Auto')
        .describe(
          'Queued Immediate work should be done this long after the replicas are up. Auto: the learned cold start.',
        ),
    })
    .prefault({}),
  keepWarm: z
    .strictObject({
      duration: autoDuration
        .prefault('Auto')
        .describe('Idle time after which the last replica goes. Auto: the learned cold start.'),
      maxDuration: positiveDuration.prefault('15m').describe('Upper bound of Auto.'),
    })
    .prefault({}),
  drain: z
    .strictObject({
      after: autoDuration
        .prefault('Auto')
        .describe(
          'Fewer replicas must have been enough this long before one goes. Auto: half the cold start, at least 2m.',
        ),
      timeout: positiveDuration.prefault('15m').describe('How long running requests of a leaving replica may finish.'),
    })
    .prefault({}),
  boot: z
    .strictObject({
      expectedDuration: positiveDuration.prefault('5m').describe('Cold start assumed until one was measured.'),
      timeout: positiveDuration.prefault('30m').describe('A boot longer than this is stuck: the replica is replaced.'),
      maxInFlight: z.int().min(1).max(1_000).default(8).describe('Replicas that may boot at once.'),
    })
    .prefault({}),
};

const spec = z.strictObject({
  poolRef: poolRef.optional().describe('The InferencePool it scales. Either this or `pool`.'),
  pool: z
    .strictObject({ selector, targetPorts })
    .optional()
    .describe('A pool of its own, named like the policy, where InferencePool is not installed.'),
  models: z.array(model).max(1_024).default([]).describe('Names that lead to this pool, also while it sleeps.'),
  targets: z.array(target).max(32).prefault([]).describe('What can be started; tried in the order of preference.'),
  mode: z
    .enum(['Observe', 'Native'], {
      error: ({ input }) =>
        input === 'KEDA' ? 'KEDA is not supported by this version; use Native or Observe' : undefined,
    })
    .default('Native')
    .describe('Observe decides and reports, and changes nothing.'),
  paused: z.boolean().default(false).describe('Replicas stay as they are; queued work waits.'),
  className: labelName.optional().describe('Installation that is to act on this policy. Absent: whichever reads it.'),
  onDelete: z
    .enum(['Keep', 'ScaleToZero', 'ScaleToMin'])
    .default('Keep')
    .describe(
      'What becomes of the workloads when the policy is deleted: nothing, no replicas, or minReplicas. Local processes always end with it.',
    ),
  ...scaling,
  limits: z
    .strictObject({
      requests: z.int().min(1).max(100_000_000).optional(),
      bytes: size.optional(),
    })
    .prefault({})
    .describe('Budget of the pool. Absent: limits.poolRequests and limits.poolBytes of the configuration.'),
});

export const scalePolicy = objectSchema([API_VERSION], 'ScalePolicy', spec);

export type ScalePolicySpec = z.output<typeof spec>;

/** A policy that says nothing: every default. */
export const DEFAULT_SCALE_POLICY: ScalePolicySpec = spec.parse({});
